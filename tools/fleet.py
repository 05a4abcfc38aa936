"""`ykt fleet`: parameter sets and lists from a clerk's file to every bus, and the key that signs them.

Exit codes: 0 done, 1 refused, 2 wrong usage.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backoffice.fleet import explain, lists, numbers, sets, spec, status
from backoffice.fleet.replay import replay
from backoffice.keys.backend import KeyInfo, KeysError
from backoffice.store import engine
from backoffice.store.days import clearing_day, is_day
from tools import keys_args
from tunion import bcd
from tunion.fare.tariff import Tariff
from tunion.money import yuan
from tunion.wire import limits, params
from tunion.wire import lists as wire_lists

_REFUSALS = (spec.FleetRefused, engine.WrongStore, engine.Busy, KeysError)
_DAY_S = 86400
_SECTION_LETTERS_MAX = 400  # of one section shown to a person; a grid has thousands
_OLD_AFTER_H = 48  # a deny list on a bus; a gate has 24
_LIST_CODES = {text: number for number, text in wire_lists.NAMES.items()}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt fleet`."""
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    help_line = "参数集 | parameter sets"
    actions = subjects.add_parser("params", help=help_line, description=help_line).add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    build = _command(actions, "build", _build, "由文件生成,并用昨日交易试算 | from a file, tried on a day's taps")
    build.add_argument("--file", type=Path, required=True, metavar="FILE", help="JSON: backoffice/docs/fleet.md")
    build.add_argument("--tariffs", action="store_true",
                       help="本单位终端均支持票制 | every device of the scope charges tariffs")
    build.add_argument("--set-bytes", type=int, default=limits.SET_BYTES, metavar="N",
                       help=f"本单位终端均可存放的字节数 | every device of the scope has room for sets of N bytes "
                       f"(default {limits.SET_BYTES})")
    show = _command(actions, "show", _show, "查看 | what a set says and would do")
    approve = _command(actions, "approve", _approve, "复核 | by a second person")
    publish = _command(actions, "publish", _publish, "签名并发布 | sign it, offer it to the devices")
    keys_args.wants_keys(publish)
    publish.add_argument("--key", default="params", metavar="ID", help="signing key in the vault (default params)")
    for action in (build, approve):
        action.add_argument("--day", type=_day, help="试算日 | tried on taps of this day (default: yesterday's)")
    for action in (show, approve, publish):
        action.add_argument("--scope", required=True, help="operator's organisation code")
        action.add_argument("--version", type=int, required=True)
    for action in (build, approve, publish):
        action.add_argument("--user", required=True, help="who does this")
    listing = _command(actions, "status", _status, "版本与覆盖率 | every set, who did what, how many devices run it")
    for action in (build, show, listing):
        action.add_argument("--json", action="store_true")

    _configure_lists(subjects)

    help_line = "签名密钥 | the signing key"
    actions = subjects.add_parser("key", help=help_line, description=help_line).add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    new = _command(actions, "new", _key_new, "在密钥库中生成 | make one inside the vault", database=False)
    public = _command(actions, "show", _key_show, "公钥 | its public half, for device files", database=False)
    for action in (new, public):
        keys_args.wants_keys(action)
        action.add_argument("--key", default="params", metavar="ID")


def _configure_lists(subjects: Any) -> None:
    help_line = "名单:黑名单、城市、发卡机构 | lists: denied cards, joined cities, accepted issuers"
    actions = subjects.add_parser("lists", help=help_line, description=help_line).add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    take_in = _command(actions, "import", _list_import, "由文件读入 | read in a file of numbers")
    take_in.add_argument("--file", type=Path, required=True, metavar="FILE", help="CSV, TXT: backoffice/docs/fleet.md")
    build = _command(actions, "build", _list_build, "生成新版本,待复核 | the next version, for a second person to see")
    build.add_argument("--effective", metavar="TIME", help="'2025-06-01 04:00', local (default: at once)")
    build.add_argument("--days", type=int, default=30, metavar="N", help="expires after so many (default 30)")
    show = _command(actions, "show", _list_show, "查看 | what a version says, and what it changes")
    approve = _command(actions, "approve", _list_approve, "复核 | by a second person")
    publish = _command(actions, "publish", _list_publish, "签名并发布 | sign it, whole and as deltas; offer it")
    keys_args.wants_keys(publish)
    publish.add_argument("--key", default="params", metavar="ID", help="signing key in the vault (default params)")
    for action in (take_in, build, show, approve, publish):
        action.add_argument("--scope", required=True, help="operator's organisation code")
        action.add_argument("--name", choices=sorted(_LIST_CODES), default="deny", help="(default deny)")
    for action in (show, approve, publish):
        action.add_argument("--version", type=int, required=True)
    for action in (take_in, build, approve, publish):
        action.add_argument("--user", required=True, help="who does this")
    help_line = "版本、覆盖率、过旧 | every version, coverage, devices with an old one"
    listing = _command(actions, "status", _list_status, help_line)
    listing.add_argument("--old-hours", type=int, default=_OLD_AFTER_H, metavar="H", help="old after (default 48)")
    for action in (take_in, build, show, publish, listing):
        action.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Exit code of one command."""
    try:
        args.act(args)
        return 0
    except _REFUSALS as refusal:
        print(f"ykt fleet: {refusal}", file=sys.stderr)
        return 1


def _build(args: argparse.Namespace) -> None:
    now_s = int(time.time())
    payload = spec.payload_of(args.file, now_s)
    spec.refuse_undeliverable(payload, args.tariffs, args.set_bytes)
    day = args.day or clearing_day(now_s - _DAY_S)
    with _writing(args.db) as db:
        effect = replay(db, params.decode(payload, True), day)
        found = sets.build(db, payload, effect, args.user, now_s)
    if args.json:
        print(json.dumps({"scope": found.scope, "version": found.version, **effect}, ensure_ascii=False))
    else:
        print(f"{found.scope} {found.version}: 已生成,待复核 | built, waits for a second person")
        _print_effect(effect)


def _show(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        row = sets.stored(db, args.scope, args.version)
    found = params.decode(row["payload"], True)
    effect = json.loads(row["dry_run"])
    explained = list(explain.lines(found.fare, found.samples)) if isinstance(found.fare, Tariff) else []
    if args.json:
        said = {name: [section.version, _plain(section.content)] for name, section in found.sections.items()}
        shown = {"name": found.name, "sections": said, "dry_run": effect, "explained": explained}
        print(json.dumps(shown, ensure_ascii=False))
        return
    print(f"{found.name}  {found.scope} {found.version}")
    print(f"生效 effective {_local(found.effective_at_s)}  失效 expires {_local(found.expires_at_s)}")
    for line in explained:
        print(f"  {line}")
    for kind, list_fen, discount_fen, amount_fen in [] if explained else found.samples:
        print(f"  卡种 kind {kind}: {yuan(list_fen)} - {yuan(discount_fen)} = {yuan(amount_fen)}")
    for name, section in found.sections.items():
        content = json.dumps(_plain(section.content))
        print(f"  {name} {section.version}: {content if len(content) <= _SECTION_LETTERS_MAX else '…, --json'}")
    _print_effect(effect)


def _approve(args: argparse.Namespace) -> None:
    with _writing(args.db) as db:
        now_s = int(time.time())
        sets.approve(db, args.scope, args.version, args.user, now_s)
        found = params.decode(sets.stored(db, args.scope, args.version)["payload"], True)
        effect = replay(db, found, args.day or clearing_day(now_s - _DAY_S))
    print(f"{args.scope} {args.version}: 已复核 | approved")
    _print_effect(effect)


def _publish(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        keys = keys_args.open_keys(args, db, "fleet publish")
    with _writing(args.db) as db:
        sets.publish(db, keys, args.key, args.scope, args.version, args.user, int(time.time()))
    print(f"{args.scope} {args.version}: 已发布 | published")


def _status(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        rows = status.sets(db)
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        people = f"生成 built {row['built_by']}  复核 approved {row['approved_by'] or '-'}"
        print(f"{row['scope']} {row['version']}  生效 effective {_local(row['effective_at_s'])}  {people}")
        print(f"  发布 published {row['published_by'] or '-'}  覆盖 coverage {row['running']}/{row['devices']}")


def _list_import(args: argparse.Namespace) -> None:
    records, twice = numbers.records_of(args.file, _LIST_CODES[args.name])
    with _writing(args.db) as db:
        found = lists.take_in(db, args.scope, args.name, records, args.file.name, args.user, int(time.time()))
    if args.json:
        print(json.dumps({"scope": args.scope, "name": args.name, **found, "twice": twice}))
        return
    print(f"{args.scope} {args.name}: 已读入 read in {found['count']}, 重复 said twice {twice}")
    _print_difference(found)


def _list_build(args: argparse.Namespace) -> None:
    now_s = int(time.time())
    try:
        effective_at_s = spec.time_s(args.effective) if args.effective else now_s
    except ValueError as problem:
        raise spec.FleetRefused(f"--effective: {problem}") from problem
    with _writing(args.db) as db:
        expires_at_s = effective_at_s + args.days * _DAY_S
        version = lists.build(db, args.scope, args.name, effective_at_s, expires_at_s, args.user, now_s)
    if args.json:
        print(json.dumps({"scope": args.scope, "name": args.name, "version": version}))
    else:
        print(f"{args.scope} {args.name} {version}: 已生成,待复核 | built, waits for a second person")


def _list_show(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        found = lists.seen(db, args.scope, args.name, args.version)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{args.scope} {args.name} {args.version}: {found['count']} 条 records, 来源 from {found['source']}")
    effective, expires = _local(found["effective_at_s"]), _local(found["expires_at_s"])
    print(f"生效 effective {effective}  失效 expires {expires}  读入 read in by {found['imported_by']}")
    if "added" in found:
        _print_difference(found)
    for issuer, count in found.get("issuers", {}).items():
        print(f"  卡号前八位 cards that begin with {issuer}: {count}")
    for key, from_s, to_s in found.get("records", []):
        print(f"  {key}  {_local(from_s)} — {_local(to_s) if to_s is not None else '…'}")


def _list_approve(args: argparse.Namespace) -> None:
    with _writing(args.db) as db:
        lists.approve(db, args.scope, args.name, args.version, args.user, int(time.time()))
    print(f"{args.scope} {args.name} {args.version}: 已复核 | approved")


def _list_publish(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        keys = keys_args.open_keys(args, db, "fleet publish")
    with _writing(args.db) as db:
        bases = lists.publish(
            db, keys, args.key, args.scope, args.name, args.version, args.user, int(time.time())
        )
    if args.json:
        print(json.dumps({"scope": args.scope, "name": args.name, "version": args.version, "deltas_from": bases}))
    else:
        deltas = ", ".join(map(str, bases)) or "-"
        print(f"{args.scope} {args.name} {args.version}: 已发布 | published; 增量基于 deltas from {deltas}")


def _list_status(args: argparse.Namespace) -> None:
    with _reading(args.db) as db:
        rows = status.lists(db, args.old_hours * 3600, int(time.time()))
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        people = f"生成 built {row['built_by']}  复核 approved {row['approved_by'] or '-'}"
        print(f"{row['scope']} {row['name']} {row['version']}  {row['count']} 条 records  {people}")
        old = f"  过旧 old {row['old']}" if row["name"] == "deny" else ""
        published = row["published_by"] or "-"
        print(f"  发布 published {published}  覆盖 coverage {row['running']}/{row['devices']}{old}")


def _print_difference(found: dict[str, Any]) -> None:
    print(f"  与已发布相比 against what is published: +{found['added']} -{found['removed']}")


def _key_new(args: argparse.Namespace) -> None:
    opened = keys_args.open_vault(args)
    opened.make(KeyInfo(args.key, "params", "ES256", "sign", "", "", created_s=int(time.time())))
    print(opened.public_key(args.key).hex())


def _key_show(args: argparse.Namespace) -> None:
    print(keys_args.open_keys_as_they_are(args, "fleet key show").public_key(args.key).hex())


def _print_effect(effect: dict[str, Any]) -> None:
    print(
        f"{effect['day']} 试算 dry run: {effect['taps']} 笔 taps, "
        f"{yuan(effect['before_fen'])} → {yuan(effect['after_fen'])} 元 yuan, 不受理 refused {effect['refused']}"
    )
    if effect.get("untold"):  # absent from what was built by an earlier version
        print(
            f"  无法试算 {effect['untold']} 笔 {yuan(effect['untold_fen'])} 元 | not to be priced by this table: "
            "they name no stops, or stops that it does not have"
        )


def _plain(content: Any) -> Any:
    """CBOR's byte strings as hex, for JSON."""
    if isinstance(content, bytes):
        return content.hex()
    return [_plain(item) for item in content] if isinstance(content, list) else content


def _local(at_s: int) -> str:
    digits = bcd.to_digits(bcd.stamp(at_s))
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}"


def _command(actions: Any, name: str, act: Any, help_line: str, database: bool = True) -> Any:
    parser = actions.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=act)
    if database:
        parser.add_argument("--db", type=Path, required=True, metavar="FILE")
    return parser


@contextmanager
def _writing(path: Path) -> Iterator[Any]:
    store = engine.Store(path)
    try:
        with store.transaction() as db:
            yield db
    finally:
        store.close()


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    store = engine.Store(path)
    try:
        with store.reading() as db:
            yield db
    finally:
        store.close()


def _day(text: str) -> str:
    if not is_day(text):
        raise argparse.ArgumentTypeError("a day is YYYY-MM-DD")
    return text
