"""What the commands of `ykt keys sams` share: arguments, refusals, the store and keys they open, tables."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backoffice.cards.channel import ChipRefused
from backoffice.cards.line import CardGone
from backoffice.cards.profile import ProfileError
from backoffice.keys import sam_orders, sams
from backoffice.keys.backend import KeysError
from backoffice.keys.keyring import Keyring
from backoffice.store import engine
from backoffice.store import sam_tables as tables
from backoffice.store.days import is_day
from backoffice.store.engine import Store
from backoffice.store.sam_tables import SamRefused
from tools import keys_args
from tools.backoffice_text import print_table
from tunion import bcd
from tunion.record import BadInput

WAIT_S = 60  # for the next chip; a person stands there
_REFUSALS = (
    SamRefused, KeysError, ProfileError, ChipRefused, CardGone, BadInput, engine.WrongStore, engine.Busy,
    sams.CheckFailed,
)  # fmt: skip

STATES = {
    tables.ORDERED: "待制", tables.IN_PROCESS: "在制", tables.MADE: "已写待检", tables.CHECKED: "合格在库",
    tables.SHIPPED: "运输中", tables.RECEIVED: "运营单位在库", tables.INSTALLED: "已装机", tables.BLOCKED: "停用在手",
    tables.DESTROYED: "已销毁", tables.LOST: "丢失", tables.SCRAPPED: "报废",
}  # fmt: skip


def action(
    actions: Any, name: str, act: Callable[[argparse.Namespace], int | None], help_line: str, keys: bool = False,
    user: bool = True,
) -> Any:  # fmt: skip
    parser = actions.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=_told(act))
    parser.add_argument("--db", type=Path, required=True, metavar="FILE", help="数据库文件 | database file")
    parser.add_argument("--json", action="store_true", help="供程序读取 | for a program to read")
    if user:
        parser.add_argument("--user", required=True, metavar="NAME", help="经办人 | who does this")
    if keys:
        keys_args.wants_keys(parser)
    return parser


def wants_sam(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sam", required=True, metavar="NUMBER", help="SAM 号,16 位 | SAM number, 16 digits")


def wants_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, metavar="TEXT", help="原因 | why")


def wants_from(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="from_s", type=moment, metavar="TIME",
                        help="起始时间 '2025-06-01 04:00',默认现在 | since when, local (default: now)")


def _told(act: Callable[[argparse.Namespace], int | None]) -> Callable[[argparse.Namespace], int]:
    """The command with its refusals said."""

    def told(args: argparse.Namespace) -> int:
        try:
            return act(args) or 0
        except _REFUSALS as refusal:
            done = "; nothing was stored, try again later" if isinstance(refusal, engine.Busy) else ""
            print(f"ykt keys sams {args.sams_action}: {refusal}{done}", file=sys.stderr)
            return 1

    return told


def print_keys(keys: list[sam_orders.OrderKey]) -> None:
    print_table(
        (("用途", "purpose"), ("算法", "algorithm"), ("索引", "index"), ("版本", "version"), ("校验值", "KCV")),
        [(key.purpose, key.algorithm, str(key.key_index), str(key.version), key.kcv) for key in keys],
        left=2,
    )


def state_words(state: str) -> str:
    return f"{STATES[state]} {state}"


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def complain(args: argparse.Namespace, refusal: Exception) -> None:
    print(f"ykt keys sams {args.sams_action}: {refusal}", file=sys.stderr, flush=True)


def wait_for_chip(args: argparse.Namespace, line: Any) -> None:
    """For a chip. Raises CardGone where none came."""
    if line.present(0):
        return
    print(f"{args.reader}: 请放入 PSAM | put a PSAM in", file=sys.stderr, flush=True)
    if not line.present(args.wait):
        raise CardGone(f"{args.reader}: no chip after {args.wait} s: put one in, and run this again")


def wait_for_next(args: argparse.Namespace, line: Any) -> None:
    if line.removed(0):
        return
    print(f"{args.reader}: 请取出,换下一张 | take it out, put the next one in", file=sys.stderr, flush=True)
    if not line.removed(args.wait):
        raise CardGone(f"{args.reader}: the chip was not taken out within {args.wait} s: run this again")


@contextlib.contextmanager
def line_of(args: argparse.Namespace) -> Iterator[Any]:
    from tools.pcsc_line import PcscLine  # only now: it wants pyscard, and pcscd

    with PcscLine(args.reader, args.wait) as line:
        yield line


@contextlib.contextmanager
def opened(args: argparse.Namespace) -> Iterator[Store]:
    store = Store(args.db)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def writing(args: argparse.Namespace) -> Iterator[Any]:
    with opened(args) as store, store.transaction() as db:
        yield db


@contextlib.contextmanager
def reading(args: argparse.Namespace) -> Iterator[Any]:
    with opened(args) as store, store.reading() as db:
        yield db


@contextlib.contextmanager
def keys_of(args: argparse.Namespace, store: Store) -> Iterator[Keyring]:
    """The key service, for as long as the command runs."""
    with store.reading() as db:
        keys = keys_args.open_keys(args, db, f"keys sams {args.sams_action}")
    try:
        yield keys
    finally:
        keys.close()


def now_s() -> int:
    return int(time.time())


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def octets(size: int) -> Callable[[str], bytes]:
    def parse(text: str) -> bytes:
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) != size:
            raise argparse.ArgumentTypeError(f"{2 * size} hex digits")
        return found

    return parse


def day(text: str) -> str:
    if not is_day(text):
        raise argparse.ArgumentTypeError("a day: YYYY-MM-DD")
    return text


def date(text: str) -> str:
    return day(text).replace("-", "")


def moment(text: str) -> int:
    """Local, to the minute or second."""
    digits = "".join(char for char in text if char.isdigit())
    plain = text.replace("-", "").replace(":", "").replace(" ", "")
    try:
        if digits != plain or len(digits) not in (12, 14):
            raise BadInput(text)
        return bcd.at_s(bcd.from_digits(digits.ljust(14, "0")))
    except BadInput as error:
        raise argparse.ArgumentTypeError("a local time: '2025-06-01 04:00'") from error
