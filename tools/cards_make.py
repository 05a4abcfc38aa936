"""`ykt cards make`: blanks become cards on one reader or several, until so many are good."""

import argparse
import json
import platform
import signal
import sys
import threading
from types import FrameType
from typing import Any

from backoffice.cards import making
from backoffice.cards.factory import Factory, Tally
from backoffice.cards.line import CardGone
from backoffice.cards.making import Outcome
from backoffice.cards.product import Product
from backoffice.cards.profile import Profile
from backoffice.cards.readback import CardKeys
from backoffice.cards.watermark import Watermark, beside
from backoffice.keys.service import KeyService
from backoffice.store import cards
from backoffice.store.card_states import CardsRefused
from backoffice.store.engine import Store
from tools.cards_args import command, keys_of, whole
from tools.pcsc_line import PcscLine

LOOK_S = 0.5                # between looks whether to stop, while a person changes cards
GET_UID = b"\xff\xca\x00\x00\x00"       # PC/SC part 3: answered by the reader, not the card
BOTH = "both"
INTERRUPTED = 130           # exit code

_RESULTS = {
    "good": ("合格", "good"), "gone": ("卡片离开，请重放", "taken away: put it in again"),
    "failed": ("不合格", "not good"), "already": ("已完成", "was done already"), "refused": ("不收", "refused"),
}  # fmt: skip


class KcvDiffers(CardsRefused):
    """The keys here are not those that the batch was ordered with."""


def configure(commands: Any) -> None:
    make = command(commands, "make", _make, "制卡 | write cards: initialise, personalise, read back", keys=True)
    make.add_argument("--batch", required=True, metavar="NAME", help="批次 | batch")
    make.add_argument("--count", type=whole(1, cards.ORDERED_MAX), required=True, metavar="N",
                      help="合格张数 | until so many are good")
    make.add_argument("--reader", action="append", required=True, metavar="NAME",
                      help="读卡器，可多个 | PC/SC reader; repeatable, they work side by side")
    make.add_argument("--step", choices=(*making.STEPS, BOTH), default=BOTH,
                      help="步骤 | initialise (province), personalise (city) or both (default)")


class PcscStation:
    """A PC/SC reader, fed by hand or by a robot."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._line = PcscLine(name)

    def next_card(self, stop: threading.Event) -> PcscLine | None:
        while not stop.is_set():
            if self._line.present(LOOK_S):
                return self._line
        return None

    def uid(self) -> bytes:
        """b"" where the reader does not tell, or the card left; that shows at its first command."""
        try:
            self._line.power_on()
            answer = self._line.transceive(GET_UID)
        except CardGone:
            return b""
        return answer[:-2] if answer[-2:] == b"\x90\x00" else b""

    def finished(self, outcome: Outcome, stop: threading.Event) -> None:
        while not stop.is_set() and not self._line.removed(LOOK_S):
            continue

    def close(self) -> None:
        self._line.close()


def kcv_set(
    keys: KeyService, made: Product, profile: Profile, transport_version: int, control_version: int
) -> dict[str, str]:
    """Check values of all keys that a batch is made with, by purpose. Raises NoKey where one is missing."""
    found = {
        purpose: keys.kcv(keys.path(purpose, profile.scheme, version))
        for purpose, version in (("transport", transport_version), ("control", control_version))
    }
    algorithms = {row.purpose: row.algorithm for row in profile.keys}
    for purpose in CardKeys._fields:
        path = keys.path(purpose, algorithms[purpose], made.version_of(purpose), made.issuer)
        found[purpose] = keys.kcv(path)
    return found


def _make(args: argparse.Namespace) -> int:
    if len(set(args.reader)) != len(args.reader):
        raise CardsRefused("a reader is named twice: each makes its own cards")
    store = Store(args.db)
    keys = keys_of(args, store)
    with store.reading() as db:
        work = making.work_of(db, args.batch)
        wanted = json.loads(cards.batch(db, args.batch)["kcv_set"])
    require_same(wanted, kcv_set(keys, work.product, work.profile, work.transport_version, work.control_version))
    steps = making.STEPS if args.step == BOTH else (args.step,)
    stations = [PcscStation(name) for name in args.reader]
    progress = _Progress(args.count, args.json)
    maker = making.Maker(store, keys, work, steps, watermark=Watermark(beside(args.db)))
    factory = Factory(maker, stations, args.count, args.user, platform.node() or "-", progress.show)
    interrupted = threading.Event()
    before = _on_signals(factory, interrupted)
    try:
        tally = factory.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for station in stations:
            station.close()
        keys.close()
        store.close()
    _say(args, tally, progress.by_reader)
    if interrupted.is_set():
        return INTERRUPTED
    return 0 if tally.good >= args.count else 1


def require_same(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Raises KcvDiffers."""
    for purpose, kcv in wanted.items():
        if found[purpose] != kcv:
            raise KcvDiffers(
                f"the {purpose} key has check value {found[purpose]}, the batch was ordered with {kcv}: "
                "use the vault of that day, or make a new batch"
            )


def _on_signals(factory: Factory, interrupted: threading.Event) -> dict[int, Any]:
    """Ctrl-C and SIGTERM finish the cards in hand. What they did before; outside the main thread nothing: it gets none.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}

    def stop(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        factory.stop()
        sys.stderr.write("\n正在完成手中的卡 | finishing the cards in hand\n")

    return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}


class _Progress:
    """A line on stderr for each card; on a terminal one line that changes. With --json an object a line."""

    def __init__(self, count: int, as_json: bool) -> None:
        self.by_reader: dict[str, dict[str, int]] = {}
        self._count = count
        self._as_json = as_json

    def show(self, reader: str, outcome: Outcome, tally: Tally) -> None:
        mine = self.by_reader.setdefault(reader, {})
        mine[outcome.result] = mine.get(outcome.result, 0) + 1
        mine["card_ms"] = mine.get("card_ms", 0) + outcome.duration_ms
        if self._as_json:
            said = {"reader": reader, **outcome._asdict(), "of": self._count, "done": tally.good}
            print(json.dumps(said, ensure_ascii=False), file=sys.stderr, flush=True)
            return
        zh, en = _RESULTS[outcome.result]
        pace = f"{tally.good}/{self._count}  {tally.per_minute:.1f} 张/分 cards/min"
        line = f"{pace}  {reader}: {outcome.number} {zh} {en}"
        if outcome.result not in ("good", "already"):
            print(f"{line}  {outcome.reason}", file=sys.stderr, flush=True)
        elif sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


def _say(args: argparse.Namespace, tally: Tally, by_reader: dict[str, dict[str, int]]) -> None:
    said = {
        "batch": args.batch, **{name: tally.counts.get(name, 0) for name in _RESULTS},
        "per_minute": round(tally.per_minute, 1), "duration_ms": tally.duration_ms, "readers": by_reader,
        "refusal": tally.refusal,
    }  # fmt: skip
    if args.json:
        print(json.dumps(said, ensure_ascii=False))
        return
    counts = "  ".join(f"{zh} {en} {tally.counts[name]}" for name, (zh, en) in _RESULTS.items() if name in tally.counts)
    print(f"{args.batch}: {counts or '没有 | none'}  {tally.per_minute:.1f} 张/分 cards/min")
    if tally.refusal:
        print(f"ykt cards: {tally.refusal}", file=sys.stderr)
