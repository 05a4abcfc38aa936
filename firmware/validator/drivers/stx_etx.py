"""The Reader port over a serial reader that speaks frames from STX to ETX, and the slots of the SAMs in it.

What its frames and commands are says a profile: see stx_etx_profile. Everything a profile leaves open is answered with
the careful choice: a status that it does not know is no card.
"""

from tunion.card.refusals import LinkLost, NotOurCard
from tunion.compat import const
from validator.drivers import stx_etx_profile as words
from validator.drivers.serial_reader import FIELD_OFF_MS, SerialReader
from validator.drivers.stx_etx_frame import Frames, NoAnswer
from validator.ports import ReaderLost, Target, TwoCards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tunion.record import Bytes
    from validator.drivers.pn532_frame import Line
    from validator.drivers.stx_etx_profile import Profile
    from validator.ports import Clock

_POWER_OFF_MS = const(500)  # its capacitors are empty
_FAILURES_MAX = const(2)  # openings that failed, before the reader's power is cut
_STATUS_WORD_BYTES = const(2)
_ISO_DEP = const(0x20)  # SEL_RES: the card speaks ISO 14443-4
_UID_BYTES_MAX = const(10)


class StxEtx(SerialReader):
    """A reader on a line of bytes.

    power  switches the reader's supply, where the board can: power(True) is on. Used after openings that failed
    """

    def __init__(
        self, line: "Line", clock: "Clock", profile: "Profile", power: "Callable[[bool], None] | None" = None
    ) -> None:
        self._frames: Frames = Frames(line, clock, profile)
        self._clock = clock
        self._profile = profile
        self._power = power
        self._failures = 0
        self._ready = False  # opened, and not lost since
        self._selected = False  # the reader holds a card, which may have left
        self._unbroken = False  # and every exchange with it came back whole
        self._iso_dep = False

    def open(self) -> None:
        """Set the reader up; let go of a card that it may hold. Cuts its power where that failed. Raises ReaderLost."""
        self._ready = False
        try:
            self._set_up()
        except ReaderLost:
            self._failures += 1
            if self._power is None or self._failures < _FAILURES_MAX:
                raise
            self._cycle_power(self._power)
            self._set_up()
        self._failures = 0
        self._ready = True

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its whole answer; it is never said twice.

        raises  LinkLost; ReaderLost; NotOurCard for a card that speaks no ISO 14443-4
        """
        if not self._unbroken:
            raise LinkLost("no card is active at the reader")
        if not self._iso_dep:
            raise NotOurCard(0x6A82, "a card without ISO 14443-4")
        self._unbroken = False
        answer = self._exchange(self._profile.apdu, apdu, wait_ms)
        self._unbroken = True
        return answer

    def slot(self, number: int) -> "StxEtxSlot":
        """SAM slot `number` of this reader, from 1."""
        return StxEtxSlot(self, number)

    # --- for the slots

    def ready(self) -> None:
        """Open the reader where that has not happened, or where it was lost since. Raises ReaderLost."""
        if not self._ready:
            self.open()

    def power_sam(self, number: int) -> bool:
        """Reset the SAM in slot `number`; False: there is none, or it is mute. Raises ReaderLost."""
        self._call(self._profile.sam_power, bytes((number,)))
        return self._frames.word == words.OK

    def transceive_sam(self, number: int, apdu: "Bytes", wait_ms: int) -> bytes:
        """One APDU to the SAM in slot `number`. Raises LinkLost, ReaderLost."""
        return self._exchange(self._profile.sam_apdu + bytes((number,)), apdu, wait_ms)

    # ---

    def _set_up(self) -> None:
        self._frames.open()
        for command in self._profile.open:
            self._must(command)
        self._selected = True  # for all we know
        self._let_go()

    def _cycle_power(self, power: "Callable[[bool], None]") -> None:
        power(False)
        self._clock_pause(_POWER_OFF_MS)
        power(True)
        self._clock_pause(self._profile.boot_ms)

    def _clock_pause(self, wait_ms: int) -> None:
        """The line may be gone while the reader has no power."""
        since = self._clock.ticks_ms()
        while self._clock.since_ms(since) < wait_ms:
            try:
                self._frames.pause(wait_ms - self._clock.since_ms(since))
            except ReaderLost:
                return  # an adapter that lives on the reader's power: opening it tells more

    def _call(self, command: bytes, data: "Bytes" = b"", wait_ms: int = 0, repeatable: bool = True) -> memoryview:
        """As Frames.call; a reader that was lost is opened before its SAM is asked again."""
        try:
            return self._frames.call(command, data, wait_ms, repeatable)
        except NoAnswer:
            raise
        except ReaderLost:
            self._ready = False
            raise

    def _must(self, command: bytes) -> None:
        """A command that the reader cannot refuse. Raises ReaderLost."""
        self._call(command)
        if self._frames.word != words.OK:
            raise ReaderLost(
                "the reader answers %02X to command %s: is the profile that of this reader?"
                % (self._frames.status, command[:2].hex())
            )

    def _exchange(self, command: bytes, apdu: "Bytes", wait_ms: int) -> bytes:
        try:
            answer = self._call(command, apdu, wait_ms, False)
        except NoAnswer as error:
            raise LinkLost(str(error))
        if self._frames.word != words.OK:
            raise LinkLost("the reader lost the card (%s)" % (self._frames.word or "%02X" % self._frames.status))
        if len(answer) < _STATUS_WORD_BYTES:
            raise LinkLost("the card's answer has no status word")
        return bytes(answer)

    def _look(self) -> "Target | None":
        """One try to find and activate a card. Raises TwoCards where the profile has a status for them."""
        profile = self._profile
        answer = self._call(profile.poll)
        self._crowd = self._frames.word == words.TWO_CARDS
        if self._crowd:
            self._selected = True
            raise TwoCards("two cards at the reader")
        if self._frames.word != words.OK:
            if self._frames.repeated:  # the first may have activated a card, which answers no second search
                self._selected = True
                self._let_go()
            return None
        self._selected = True
        sak_at = profile.sak_at
        self._iso_dep = sak_at < 0 or sak_at < len(answer) and answer[sak_at] & _ISO_DEP != 0
        uid = b"" if profile.uid_from_activate else self._uid(answer)
        if profile.activate and self._iso_dep:
            answer = self._call(profile.activate)
            if self._frames.word == words.NOT_ISO:
                self._iso_dep = False
            elif self._frames.word != words.OK:
                return None
            elif profile.uid_from_activate:
                uid = self._uid(answer)
        self._unbroken = True
        return Target(uid)

    def _uid(self, answer: memoryview) -> bytes:
        """Empty where the answer is too short for one."""
        profile = self._profile
        end = len(answer)
        if 0 <= profile.uid_length_at < len(answer):
            end = min(end, profile.uid_at + answer[profile.uid_length_at])
        return bytes(answer[profile.uid_at : end])[:_UID_BYTES_MAX]

    def _is_there(self) -> bool:
        if not self._selected:
            return False
        if self._iso_dep and self._profile.present:
            self._call(self._profile.present)
            return self._frames.word == words.OK
        self._let_go()
        return self._look() is not None

    def _let_go(self) -> None:
        """Release the card, so that it starts afresh when it is found again."""
        if not self._selected:
            return
        self._selected = self._unbroken = False
        profile = self._profile
        if profile.halt:
            self._call(profile.halt)  # what it says of a card that has left counts for nothing
        if profile.field_off:
            self._must(profile.field_off)
            self._frames.pause(FIELD_OFF_MS)
            self._must(profile.field_on)


class StxEtxSlot:
    """One SAM slot of such a reader, as sam_slot takes it. The reader speaks T=0 with the SAM by itself."""

    def __init__(self, reader: StxEtx, number: int) -> None:
        self._reader = reader
        self._number = number
        self._active = False

    def open(self) -> None:
        """Raises ReaderLost."""
        self._active = False
        self._reader.ready()

    def activate(self, wait_ms: int) -> bool:
        """Reset the SAM; False: no SAM, or it is mute. Raises ReaderLost."""
        self._active = self._reader.power_sam(self._number)
        return self._active

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its answer. After a failure the SAM must be activated again. Raises LinkLost, ReaderLost."""
        if not self._active:
            raise LinkLost("SAM slot %d is not active" % self._number)
        self._active = False
        answer = self._reader.transceive_sam(self._number, apdu, wait_ms)
        self._active = True
        return answer
