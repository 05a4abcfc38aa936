"""A card office for tests: a database, keys, and lines to simulated chips that can be pulled at any command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from backoffice.cards import making
from backoffice.cards import product as products
from backoffice.cards.line import CardGone
from backoffice.cards.making import Maker, Outcome, Place
from backoffice.store import cards, engine
from backoffice.store.engine import Store
from backoffice.tests.chips import SampleKeys, root

NOON_S = 1_748_750_400      # 2025-06-01 12:00 in China
FIRST = "3104840000000000001"
PLACE = Place("ann", "machine 1", "reader 1")
BATCH = "A1"


class ChipLine:
    """A line to one chip in this process. `cut`: pull it before or after the command of that number, from 0.

    After a pull it is back at the next power_on.
    """

    def __init__(self, chip: Any, cut: tuple[int, str] | None = None) -> None:
        self.chip = chip
        self.cut = cut
        self.sent: list[bytes] = []

    def power_on(self) -> bytes:
        self.chip.power_off()
        self.chip.power_on()
        atr: bytes = self.chip.atr
        return atr

    def transceive(self, apdu: bytes) -> bytes:
        number = len(self.sent)
        self.sent.append(apdu)
        if self.cut == (number, "before"):
            self._pull()
        answer: bytes = self.chip.transceive(apdu)
        if self.cut == (number, "after"):
            self._pull()
        return answer

    def power_off(self) -> None:
        self.chip.power_off()

    def _pull(self) -> None:
        self.chip.power_off()
        raise CardGone("the card left the reader")


class Office:
    """A database with one batch, and the keys of the samples."""

    def __init__(
        self, folder: Path, product: str = "nanning_ordinary", profile: str = "sample_card_3des", count: int = 20
    ) -> None:
        self.path = folder / "city.db"
        self.keys = SampleKeys()
        self.now_s = NOON_S
        self.profile = profile
        if not self.path.exists():
            engine.create(self.path)
            store = Store(self.path)
            made, said = products.named(product)
            with store.transaction() as db:
                cards.add_range(db, FIRST, str(int(FIRST) + 999), made.issuer.hex().upper(), "ann", self.now_s)
                cards.add_batch(db, {
                    "batch": BATCH, "profile": profile, "product": product, "product_json": said, "vendor": "sample",
                    "chip": "", "mask": "", "transport_version": 1, "control_version": 1, "kcv_set": "{}",
                    "artwork_common": "a", "artwork_local": "b", "city": "6110", "operator": "ann",
                    "start_s": self.now_s, "end_s": None, "ordered": count,
                })  # fmt: skip
                cards.receive(db, BATCH, count, "ann", self.now_s)
            store.close()
        self.store = Store(self.path)

    @property
    def transport(self) -> bytes:
        """The batch's transport key."""
        return root(f"transport-{'AES' if 'aes' in self.profile else '3DES'}-1")

    def maker(self, steps: tuple[str, ...] = making.STEPS) -> Maker:
        with self.store.reading() as db:
            work = making.work_of(db, BATCH)
        return Maker(self.store, self.keys, work, steps, self.clock)

    def clock(self) -> float:
        return float(self.now_s)

    def make(self, line: ChipLine, steps: tuple[str, ...] = making.STEPS) -> Outcome:
        return self.maker(steps).make(line, PLACE)

    def check(self) -> list[str]:
        with self.store.reading() as db:
            return cards.check(db)

    def counts(self) -> dict[str, int]:
        with self.store.reading() as db:
            row = cards.batch(db, BATCH)
        return {name: row[name] for name in ("in_process", "good", "bad", "scrapped", "stock", "shipped")}

    def look(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        with self.store.reading() as db:
            return ask(db, *arguments)
