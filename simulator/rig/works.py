"""The card works of the rig: blanks go in, riders' cards come out, all through `ykt cards` on real readers.

What a vendor delivers is simulated (blanks that enforce the sample command set); everything that writes to them is
the real program.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from simulator.blank import TEST_TRANSPORT, BlankCard, blanks
from simulator.blank_image import PERSONALISED
from simulator.pcscd import Pcscd
from simulator.rig.program import RigFault
from simulator.rig.riders import ISSUERS, Issuer, Person, Rider, rider
from simulator.rig.window import Heard, Window
from simulator.vpcd import VpcdSlot
from tunion.card.files import ORDINARY, SENIOR, STUDENT

PROFILE = "sample_card_aes"
KIND_NAMES = {ORDINARY: "ordinary", STUDENT: "student", SENIOR: "senior"}
CITY_NAMES = {ISSUERS[0].org: "nanning", ISSUERS[1].org: "liuzhou"}
NUMBERS = 10_000            # of each issuer's range
CARD_WAIT_S = 60.0          # one card takes 0.3 s
COUNTERS = 2                # as many as this machine has cores, or few more
FIRST_CHIP = 0x1000

CLERK, SELLER = "zhang", "qin"


class Works:
    """Card works with one pcscd: a window of clerks at its readers, and counters where cards are sold.

    db, keys  the back office's database; what names its keys on a command line
    env       passwords of the clerks
    again     the database knows the issuers' numbers, and cards with chips of ours
    """

    def __init__(
        self, db: Path, keys: Sequence[object], pcscd: Pcscd, env: Mapping[str, str], again: bool = False
    ) -> None:
        self._db = ("--db", db)
        self._keys = tuple(keys)
        self._slots = {name: VpcdSlot(port) for name, port in zip(pcscd.readers, pcscd.ports, strict=True)}
        self._windows = [Window(pcscd.command, env) for _ in range(COUNTERS)]
        self._batches = len(self._batch_rows())
        self._next_chip = FIRST_CHIP + 0x1000 * self._batches
        if not again:
            for issuer in ISSUERS:
                self._add_range(issuer)

    def close(self) -> None:
        """End the windows."""
        for window in self._windows:
            window.close()

    def run(self, *argv: object, heard: Heard | None = None) -> str:
        """A command of `ykt` at the first window."""
        return self._windows[0].run(*argv, heard=heard)

    def make(self, people: Sequence[Person], readers: Sequence[str]) -> list[Rider]:
        """Cards for these people, personalised on `readers` side by side, sold and loaded; riders in their order."""
        chips: dict[int, BlankCard] = {}
        for product, wanted in _by_product(people).items():
            made = self._batch(product, len(wanted), readers)
            chips.update({person.number: chip for person, chip in zip(wanted, made, strict=True)})
        self._sell(people, chips, readers)
        return [rider(person, chips[person.number].card.image) for person in people]

    def stock(self) -> dict[str, int]:
        """What `ykt cards batch list` counts, over all batches. Raises RigFault where the books do not add up."""
        rows = self._batch_rows()
        self.run("cards", "check", *self._db)
        return {name: sum(row[name] for row in rows) for name in ("received", "good", "bad", "scrapped", "in_process")}

    def _batch_rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.run("cards", "batch", "list", *self._db, "--json"))["batches"]
        return rows

    def _add_range(self, issuer: Issuer) -> None:
        first = int(issuer.prefix) * 10**11 + 1
        named = ("--issuer", issuer.identifier.hex().upper(), "--first", first, "--last", first + NUMBERS - 1)
        self.run("cards", "range", "add", *self._db, "--user", CLERK, *named)

    def _batch(self, product: str, count: int, readers: Sequence[str]) -> list[BlankCard]:
        """A delivery of blanks, made into cards."""
        self._batches += 1
        name = f"B{self._batches:03d}-{product}"
        delivered = blanks(count, PROFILE, TEST_TRANSPORT, self._next_chip)
        chips = [chip for chip in delivered if isinstance(chip, BlankCard)]
        self._next_chip += 0x1000
        by = (*self._db, *self._keys, "--user", CLERK, "--batch", name)
        self.run(
            "cards", "batch", "new", *by, "--product", product, "--profile", PROFILE, "--count", count,
            "--received", count, "--vendor", "SAMPLE-VENDOR",
        )  # fmt: skip
        named = [word for reader in readers for word in ("--reader", reader)]
        with _Feeder({reader: self._slots[reader] for reader in readers}, chips) as feeder:
            self.run("cards", "make", *by, "--count", count, *named, "--json", heard=feeder.heard)
        if not all(chip.image.stage == PERSONALISED for chip in chips):
            raise RigFault(f"batch {name}: {count} cards were called good, not all blanks are cards")
        return chips

    def _sell(self, people: Sequence[Person], chips: Mapping[int, BlankCard], readers: Sequence[str]) -> None:
        """Each card over a counter: deposit, price, first load."""
        waiting = queue.SimpleQueue[Person]()
        for person in people:
            waiting.put(person)

        def counter(window: Window, reader: str) -> None:
            while not waiting.empty():
                with contextlib.suppress(queue.Empty):      # somebody else was faster
                    self._sell_one(window, reader, waiting.get_nowait(), chips)

        with ThreadPoolExecutor(COUNTERS) as pool:
            for done in [pool.submit(counter, *both) for both in zip(self._windows, readers, strict=False)]:
                done.result()

    def _sell_one(self, window: Window, reader: str, person: Person, chips: Mapping[int, BlankCard]) -> None:
        self._slots[reader].insert(chips[person.number])
        try:
            window.run(
                "cards", "issue", *self._db, *self._keys, "--user", SELLER, "--reader", reader,
                "--load-fen", person.balance_fen, *(["--even-expired"] if person.expired else []),
            )  # fmt: skip
        finally:
            self._slots[reader].remove()


class _Feeder:
    """Puts blanks on readers, one after another, and takes each out when the program has said what became of it."""

    def __init__(self, slots: Mapping[str, VpcdSlot], chips: Sequence[BlankCard]) -> None:
        self._slots = slots
        self._chips = queue.SimpleQueue[BlankCard]()
        for chip in chips:
            self._chips.put(chip)
        self._over = threading.Event()
        self._said = {reader: threading.Semaphore(0) for reader in slots}
        self._threads = [threading.Thread(target=self._feed, args=(reader,), daemon=True) for reader in slots]

    def __enter__(self) -> "_Feeder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for said in self._said.values():
            said.release()
        for thread in self._threads:
            thread.join()

    def heard(self, line: str) -> None:
        """A line of the program's progress."""
        try:
            said = json.loads(line)
        except ValueError:
            return  # words for people; the program's end tells what they meant
        if isinstance(said, dict) and said.get("reader") in self._said:
            self._said[said["reader"]].release()

    def _feed(self, reader: str) -> None:
        slot = self._slots[reader]
        while not self._over.is_set():
            try:
                chip = self._chips.get_nowait()
            except queue.Empty:
                return
            slot.insert(chip)
            try:
                self._said[reader].acquire(timeout=CARD_WAIT_S)
            finally:
                slot.remove()
            if chip.image.stage != PERSONALISED:
                self._chips.put(chip)       # it was taken out too early, or must be put in again


def _by_product(people: Sequence[Person]) -> dict[str, list[Person]]:
    found: dict[str, list[Person]] = {}
    for person in people:
        name = f"{CITY_NAMES[person.issuer.org]}_{'expired' if person.expired else KIND_NAMES[person.kind]}"
        found.setdefault(name, []).append(person)
    return found
