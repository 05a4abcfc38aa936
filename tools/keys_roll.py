"""`ykt keys derive | roll | state | compromise`: keys come, take one another's place, and go."""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backoffice.keys import audit, hierarchy, needs
from backoffice.keys.backend import ACTIVE, DESTROYED, GENERATED, RETIRED, VERIFY_ONLY, KeyInfo, KeysError
from backoffice.keys.roll import CARD_LIFE_S, YEAR_S, Needs, NotYet, Roll
from backoffice.keys.vault import MixedKeys
from backoffice.store import registry
from backoffice.store.days import is_day, midnight_s
from backoffice.store.engine import Store
from tools import keys_args
from tools.keys_text import print_keys

_STEPS = {
    "make": "生成新版本 | the next version, down the hierarchy",
    "activate": "启用:可写入 PSAM | PSAMs take it",
    "issue": "发卡启用:所有 PSAM 已有 | cards are made with it",
    "verify-only": "旧版本仅验证 | the old one makes nothing new",
    "retire": "旧版本停用 | the old one does nothing any more",
}
_PURPOSES = ("purchase", "load", "tac", "maintenance")


def configure(commands: Any) -> None:
    """Adds the four to `ykt keys`."""
    derive = _command(commands, "derive", _derive, "分散并保存下级密钥 | keep what a key gives one step down")
    derive.add_argument("--parent", required=True, metavar="ID", help="上级密钥 | the key above")
    derive.add_argument("--issuer", type=_factor, required=True, metavar="HEX",
                        help="发卡机构标识 | the issuer identifier, 16 hex digits")
    derive.add_argument("--level", choices=(hierarchy.PROVINCE, hierarchy.ISSUER), default=hierarchy.ISSUER,
                        help="级别 | of the new key (default issuer)")
    derive.add_argument("--id", default="", metavar="ID", help="名称 | its name (default: purpose, subject, version)")

    help_line = "换版 | roll over: a new version in the place of an old one"
    steps = commands.add_parser("roll", help=help_line, description=help_line)
    steps = steps.add_subparsers(dest="step", metavar="STEP", required=True)
    for name, words in _STEPS.items():
        step = _command(steps, name, _roll, words)
        if name != "issue":
            step.add_argument("--purpose", action="append", choices=hierarchy.PURPOSES, metavar="PURPOSE",
                              help=f"用途,可重复 | repeatable (default {', '.join(_PURPOSES)})")
        step.add_argument("--algorithm", default="3DES", help="算法 | (default 3DES)")
        if name != "make":
            step.add_argument("--version", type=_byte, required=True, metavar="N", help="版本 | which version")
        if name not in ("make", "activate"):
            _counts(step)
        if name == "retire":
            _second(step, force=True)

    state = _command(commands, "state", _state, "单个密钥的状态 | one key into another state")
    state.add_argument("key", metavar="ID")
    state.add_argument("to", choices=(ACTIVE, VERIFY_ONLY, RETIRED, DESTROYED), metavar="STATE",
                       help="active, verify_only, retired, destroyed")
    _counts(state)
    _second(state, force=True)

    lost = _command(commands, "compromise", _compromise, "泄露 | somebody else may know this key, and all below it")
    lost.add_argument("key", metavar="ID")
    lost.add_argument("--since", type=_day, required=True, metavar="DAY", help="自何日起,2025-06-01 | since that day")
    _second(lost, force=False)


def _command(commands: Any, name: str, act: Any, help_line: str) -> Any:
    parser = commands.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=act)
    keys_args.wants_keys(parser, schemes=True)
    parser.add_argument("--user", required=True, metavar="NAME", help="操作人 | who does this")
    parser.add_argument("--json", action="store_true", help="供程序读取 | for a program to read")
    return parser


def _counts(parser: Any) -> None:
    """Where it stands who needs a version."""
    parser.add_argument("--db", type=Path, metavar="FILE",
                        help="登记 PSAM 和卡的数据库 | database of SAMs and cards, to see who needs the version")
    parser.add_argument("--nothing-issued", action="store_true",
                        help="没有发过 PSAM 和卡 | there are no SAMs and no cards, so there is no database to ask")
    parser.add_argument("--card-life-years", type=_byte, default=CARD_LIFE_S // YEAR_S, metavar="N",
                        help="卡有效期(年) | a card is good for so long (default 10)")


def _second(parser: Any, force: bool) -> None:
    parser.add_argument("--second", default="", metavar="NAME", help="第二人 | the second person")
    parser.add_argument("--reason", default="", metavar="TEXT", help="原因 | why; it is written down")
    if force:
        parser.add_argument("--force", action="store_true",
                            help="提前,需第二人 | before its date, with a second person")


def _derive(args: argparse.Namespace) -> None:
    scheme = hierarchy.scheme(args.scheme)
    keeper, file = keys_args.open_keeper(args)
    parent = keeper.info(args.parent)
    if parent.state not in (GENERATED, ACTIVE):
        raise KeysError(f"key {parent.key_id} makes nothing new: {hierarchy.why_not(parent)}")
    below = [level for level in (hierarchy.PROVINCE, hierarchy.ISSUER) if level in scheme.steps]
    step = next((level for level in below if level != parent.level and parent.level != hierarchy.ISSUER), "nothing")
    if step != args.level:
        raise KeysError(f"key {parent.key_id} leads to {step} in scheme {scheme.name}, not to {args.level}")
    factor = scheme.factor(args.level, args.issuer)
    subject = factor.hex().upper() if args.level == hierarchy.PROVINCE else args.issuer.hex().upper()
    name = args.id or f"{parent.purpose}-{subject}-v{parent.version}"
    info = parent._replace(key_id=name, level=args.level, subject=subject, kcv="", created_s=int(time.time()))
    for other in keeper.infos():
        if _place(other) == _place(info):
            raise KeysError(f"{other.key_id} is that key already, and {other.state}: one key has one name")
    _log(file).write("derive", [name, parent.key_id], user=args.user)
    _show(args, [keeper.derive(parent.key_id, factor, info)])


def _roll(args: argparse.Namespace) -> None:
    purposes = getattr(args, "purpose", None) or _PURPOSES
    with _rolling(args) as roll:
        if args.step == "make":
            done = roll.make(_kept(args, purposes, args.purpose is not None), args.algorithm)
        elif args.step == "issue":
            done = roll.issue(args.version, args.algorithm)
        else:
            done = []
            for purpose in _kept(args, purposes, args.purpose is not None):
                at = (purpose, args.algorithm, args.version)
                if args.step == "activate":
                    done += roll.activate(*at)
                elif args.step == "verify-only":
                    done += roll.verify_only(*at)
                else:
                    done += roll.retire(*at, args.second, args.force, args.reason)
    _show(args, done)


def _state(args: argparse.Namespace) -> None:
    with _rolling(args, args.key) as roll:
        info = args.keeper.info(args.key)
        at = (info.purpose, info.algorithm, info.version)
        if args.to == ACTIVE:
            done = roll.activate(*at)
        elif args.to == VERIFY_ONLY:
            done = roll.verify_only(*at)
        elif args.to == RETIRED:
            done = roll.retire(*at, args.second, args.force, args.reason)
        else:
            done = roll.destroy(args.key, args.second, args.reason, args.force)
    _show(args, done)


def _compromise(args: argparse.Namespace) -> None:
    with _rolling(args) as roll:
        done = roll.compromise(args.key, midnight_s(args.since), args.second, args.reason)
    _show(args, done)


@contextmanager
def _rolling(args: argparse.Namespace, only: str = "") -> Iterator[Roll]:
    """The vault, and the registry while it is asked."""
    args.keeper, file = keys_args.open_keeper(args)
    life_s = getattr(args, "card_life_years", CARD_LIFE_S // YEAR_S) * YEAR_S
    rest = (args.user, _log(file), hierarchy.scheme(args.scheme), time.time, life_s, only)
    if getattr(args, "db", None) is None:
        yield Roll(args.keeper, _nobody if getattr(args, "nothing_issued", False) else _nobody_says, *rest)
        return
    store = Store(args.db)
    try:
        with store.reading() as db:
            if registry.is_production(db) == args.keeper.test:
                raise MixedKeys(f"{args.db} and these keys: one is for tests, the other for production; they never mix")
            yield Roll(args.keeper, needs.of_registry(db), *rest)
    finally:
        store.close()


def _nobody(purpose: str, algorithm: str, version: int) -> Needs:
    return Needs(0, 0)


def _nobody_says(purpose: str, algorithm: str, version: int) -> Needs:
    raise NotYet("who needs this version stands in the database of SAMs and cards: give --db, or say --nothing-issued")


def _place(info: KeyInfo) -> tuple[Any, ...]:
    return info.purpose, info.algorithm, info.level, info.subject, info.version, info.index


def _kept(args: argparse.Namespace, purposes: Any, named: bool) -> list[str]:
    """Those that there are keys of; what was named must be there."""
    there = {info.purpose for info in args.keeper.infos() if info.algorithm == args.algorithm}
    return [purpose for purpose in purposes if named or purpose in there]


def _log(file: Path) -> audit.Audit:
    return audit.Audit(audit.beside(file), "ykt keys")


def _show(args: argparse.Namespace, infos: list[KeyInfo]) -> None:
    if args.json:
        print(json.dumps([info._asdict() for info in infos]))
    elif infos:
        print_keys(infos)
    else:
        print("没有改变 | nothing changed: it was so already")


def _factor(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != hierarchy.FACTOR_BYTES:
        raise argparse.ArgumentTypeError("16 hex digits")
    return value


def _byte(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 255):
        raise argparse.ArgumentTypeError("a number from 0 to 255")
    return int(text)


def _day(text: str) -> str:
    if not is_day(text):
        raise argparse.ArgumentTypeError("a day is YYYY-MM-DD")
    return text
