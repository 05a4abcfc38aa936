"""One shift of two buses: riders tap, parts break, and it must add up in the evening.

Each step waits for what a validator's panel says. Three things go wrong on purpose: a card is torn away between
DEBIT and its answer, the network is cut, a validator is killed in the middle of a debit.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.field import Card, Faults
from simulator.rig.program import Program, RigFault
from simulator.rig.provision import Bus
from simulator.rig.riders import Debit, Rider

TAP_WAIT_S = 20.0       # a tap takes 0.1 s here; pcscd sees a card after 0.4 s; a loaded machine needs more
SYNC_WAIT_S = 60.0      # back-off of some seconds, then one upload
RIDES = ("paid", "board", "alight", "enter", "exit", "desk")    # each with a debit, of 0 fen perhaps
OPEN = ("ready", "closed")      # what is said between two cards; closed: no driver has logged in
SHOWN = (*RIDES, "refused", "recovered", "tap_again", "passed", "ignored")


class Door(Protocol):
    """Where a rider holds the card: a slot of the virtual PC/SC reader, or the PN532's field."""

    def insert(self, card: Card, faults: Faults | None = None) -> None: ...
    def remove(self) -> None: ...


@dataclass
class Visit:
    """One rider at one reader: what the panel showed, and which of the card's debits happened meanwhile."""

    rider: Rider
    lines: list[dict[str, Any]] = field(default_factory=list)
    debits: list[Debit] = field(default_factory=list)


@dataclass
class Post:
    """A bus with its reader and, while it runs, its validator. `visits` is what happened at its reader."""

    bus: Bus
    door: Door
    start: Callable[[Bus], Program]
    validator: Program = field(init=False)
    killed: int = 0
    visits: list[Visit] = field(default_factory=list)

    def power_on(self) -> None:
        """Start the validator and wait until it takes cards."""
        self.validator = self.start(self.bus)
        self.validator.expect(says(*OPEN), 0, TAP_WAIT_S, "ready")

    def power_cut(self) -> None:
        """SIGKILL, and the same flash image again."""
        self.validator.kill()
        self.killed += 1

    def tap(self, rider: Rider, faults: Faults | None = None) -> dict[str, Any]:
        """Hold the card to the reader until the panel says how it went, then take it away."""
        since = self.validator.mark()
        with self.visit(rider):
            self.door.insert(rider.card, faults)
            try:
                shown = self.validator.expect(says(*SHOWN), since, TAP_WAIT_S, f"the tap of rider {rider.number}")
            finally:
                self.door.remove()
            self.validator.expect(says(*OPEN), since, TAP_WAIT_S, "ready for the next rider")
        rider.taps.append(shown["what"])
        return shown

    @contextlib.contextmanager
    def visit(self, rider: Rider) -> Iterator[None]:
        """Note what happens to the rider here, until the card is away and the panel has said what it had to say."""
        validator, since, debits = self.validator, self.validator.mark(), len(rider.debits)
        try:
            yield
        finally:
            lines = [line for line in validator.lines[since:] if line.get("what") in SHOWN]
            self.visits.append(Visit(rider, lines, rider.debits[debits:]))

    def tap_all(self, riders: Iterable[Rider]) -> None:
        """One rider after the other."""
        for rider in riders:
            self.tap(rider)

    def tap_under_power_cut(self, rider: Rider) -> None:
        """The validator dies while the card works on the debit; the card stays, is taken away, and comes back."""
        gone = threading.Event()

        def on_exchange(name: str, number: int) -> None:
            if name == "debit":
                self.power_cut()
                gone.set()

        with self.visit(rider):
            self.door.insert(rider.card, Faults(on_exchange=on_exchange))
            if not gone.wait(TAP_WAIT_S):
                raise RigFault(f"{self.bus.name}: no debit came for rider {rider.number}; see {self.validator.log}")
            self.door.remove()
        self.power_on()
        self.tap(rider)

    def tell(self, words: str) -> None:
        """The driver's keys. Raises RigFault where they are refused."""
        since = self.validator.mark()
        self.validator.say(words)
        answer = self.validator.expect(says("driver", "unknown"), since, TAP_WAIT_S, words)
        if answer.get("word") != "ok":
            raise RigFault(f"{self.bus.name} answered {answer.get('word', 'unknown')} to {words}")

    def figures(self) -> dict[str, Any]:
        """What the validator says of itself: its `stats` line."""
        since = self.validator.mark()
        self.validator.say("stats")
        return self.validator.expect(says("stats"), since, TAP_WAIT_S, "stats")

    def end_shift(self) -> None:
        """Give up on cards that have not come back, and wait until the back office has everything."""
        self.validator.say("grey")
        self.drain()

    def drain(self) -> None:
        """Wait until the back office has acknowledged every finished entry."""
        since = self.validator.mark()
        self.validator.say("drain")
        self.validator.expect(says("drained"), since, SYNC_WAIT_S, "drained")


def in_parallel(*works: Callable[[], None]) -> None:
    """Each work in a thread of its own; the first fault is raised when all have ended.

    Ctrl-C is not kept waiting: the works then end by the validators that are stopped under them.
    """
    pool = ThreadPoolExecutor(len(works))
    going = [pool.submit(work) for work in works]
    try:
        wait(going)
    finally:
        pool.shutdown(wait=False)
    for done in going:
        done.result()


def says(*what: str) -> Callable[[dict[str, Any]], bool]:
    """Picks the panel's lines of these kinds."""
    return lambda line: line.get("what") in what
