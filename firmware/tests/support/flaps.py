"""A gate without hardware: the Gate port, and the hands of passengers and firemen. Time is the clock's."""

from validator import ports
from validator.ports import ENTRY, EXIT, GateLost, Seen

POWER_OPEN, POWER_HOLD = 2, 1  # what the flaps do without power, by setting


class Flaps:
    """`walk` is a person who goes through if the flaps are open, and says whether they were."""

    def __init__(self, clock, open_s=5, without_power=POWER_OPEN):
        self.open_s = open_s
        self.plugged = True  # False: the line is out
        self.modes = 0  # of the station's switch
        self._clock = clock
        self._without_power = without_power
        self._seen = []
        self._stand = 0
        self._jammed = self._burning = self._dark = False
        self._permits = 0
        self._way = ENTRY
        self._since_ms = 0

    # -- the port -----------------------------------------------------------------------------------------------

    def connect(self):
        self._must()
        self._permits = self._stand = 0
        self._seen = [
            Seen(ports.EMERGENCY, int(self._burning)),
            Seen(ports.JAMMED, int(self._jammed)),
            Seen(ports.POWER_LOST, self._without_power if self._dark else 0),
            Seen(ports.SWITCHED, self.modes),
        ]

    def open(self, way):
        self._must()
        if self._burning or self._dark:
            return
        if self._jammed:
            self._seen.append(Seen(ports.JAMMED, 1))
            return
        assert not self._permits or way == self._way, "one way at a time"
        self._permits += 1
        self._way = way
        self._since_ms = self._clock.ticks_ms()

    def stand_open(self, ways):
        self._must()
        self._stand = ways

    def step(self):
        self._must()
        if self._permits and self._clock.since_ms(self._since_ms) >= 1000 * self.open_s:
            self._permits -= 1
            self._since_ms = self._clock.ticks_ms()
            self._seen.append(Seen(ports.TIMED_OUT, self._way))
        return self._seen.pop(0) if self._seen else None

    def _must(self):
        if not self.plugged:
            raise GateLost("the gate does not answer: check its cable")

    # -- people -------------------------------------------------------------------------------------------------

    @property
    def is_open(self):
        """The way that the flaps are open for, 0: shut, 3: both."""
        if self._burning or self._dark and self._without_power == POWER_OPEN:
            return ENTRY | EXIT
        if self._dark or self._jammed:
            return 0
        return self._stand | (self._way if self._permits else 0)

    @property
    def waiting(self):
        """Events that nobody has taken yet."""
        return len(self._seen)

    def walk(self, way, over=False):
        """over: he jumps over flaps that are shut, or comes close behind another."""
        if self.is_open & way:
            if self._permits and way == self._way:
                self._permits -= 1
                self._since_ms = self._clock.ticks_ms()
            self._seen.append(Seen(ports.PASSED, way))
            return True
        if over:
            against = self._permits and way != self._way
            self._seen.append(Seen(ports.WRONG_WAY if against else ports.INTRUDED, way))
        return over

    def follow(self, way):
        """Two on one permit."""
        assert self.walk(way), "nobody to follow"
        self._seen.append(Seen(ports.TAILGATED, way))

    # -- hands --------------------------------------------------------------------------------------------------

    def jam(self, jammed):
        self._jammed = jammed
        self._permits = 0
        self._seen.append(Seen(ports.JAMMED, int(jammed)))

    def burn(self, burning):
        self._burning = burning
        self._permits = 0
        self._seen.append(Seen(ports.EMERGENCY, int(burning)))

    def power(self, on):
        self._dark = not on
        self._permits = 0
        self._seen.append(Seen(ports.POWER_LOST, 0 if on else self._without_power))

    def turn_switch(self, modes):
        self.modes = modes
        self._seen.append(Seen(ports.SWITCHED, modes))
