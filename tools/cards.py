"""`ykt cards`: batches, numbers, making, issue, and what holders come with.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from backoffice.cards import making, profile
from backoffice.cards import product as products
from backoffice.cards.line import CardGone
from backoffice.cards.readback import card_keys
from backoffice.keys.backend import KeysError
from backoffice.keys.keyring import Keyring
from backoffice.store import card_money, card_states, cards, engine
from backoffice.store.card_states import CardsRefused, masked
from backoffice.store.days import local
from backoffice.store.engine import Store
from tools import cards_desk, cards_make
from tools.cards_args import command, group, keys_of, now_s, number, say, state_words, table, whole
from tunion.record import BadInput

_REFUSALS = (CardsRefused, profile.ProfileError, KeysError, engine.WrongStore, engine.Busy, CardGone, BadInput)
_COUNTS = ("ordered", "received", "in_process", "good", "bad", "scrapped", "stock", "shipped", "returned")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt cards`."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_batches(commands)
    _configure_ranges(commands)
    cards_make.configure(commands)

    command(commands, "check", _check, "核对平衡 | whether batches, numbers, history and money add up")
    ship = command(commands, "ship", _ship, "发往城市 | send cards from stock to the city that sells them")
    ship.add_argument("--batch", required=True, metavar="NAME", help="批次 | batch")
    ship.add_argument("--count", type=whole(1, cards.ORDERED_MAX), metavar="N",
                      help="张数，默认全部 | how many (default: all in stock)")
    receive = command(commands, "receive", _receive, "空白卡入库 | blank chips came from their vendor")
    receive.add_argument("--batch", required=True, metavar="NAME", help="批次 | batch")
    receive.add_argument("--count", type=whole(1, cards.ORDERED_MAX), required=True, metavar="N",
                         help="张数 | how many")
    back = command(commands, "return", _return, "坏片退回厂家 | bad chips go back to their vendor")
    back.add_argument("--batch", required=True, metavar="NAME", help="批次 | batch")
    back.add_argument("--count", type=whole(1, cards.ORDERED_MAX), required=True, metavar="N", help="张数 | how many")
    scrap = command(commands, "scrap", _scrap, "报废库存卡 | a card of stock that is not good any more")
    scrap.add_argument("--number", type=number, required=True, metavar="DIGITS", help="19 位卡号 | card number")
    scrap.add_argument("--why", required=True, metavar="TEXT", help="原因 | reason")
    for name, act, help_line in (
        ("lock", _lock, "锁定(列入黑名单) | a card that is to be refused: put it on the list, too"),
        ("unlock", _unlock, "解锁 | a card that is good again: take it off the list, too"),
    ):
        locking = command(commands, name, act, help_line)
        locking.add_argument("--number", type=number, required=True, metavar="DIGITS", help="19 位卡号 | card number")
    stock = command(commands, "stock", _stock, "库存 | how many cards of each state there are")
    stock.add_argument("--batch", metavar="NAME", help="批次 | of one batch")
    listing = command(commands, "list", _list, "列出卡片 | cards, their numbers masked")
    listing.add_argument("--batch", metavar="NAME", help="批次 | of one batch")
    listing.add_argument("--state", metavar="STATE", help="状态 | of one state")
    listing.add_argument("--full", action="store_true",
                         help="完整卡号 | whole numbers: for who is allowed to see them")
    show = command(commands, "show", _show, "一张卡的来历 | one card: what it is and what became of it")
    show.add_argument("--number", type=number, required=True, metavar="DIGITS", help="19 位卡号 | card number")

    art = command(commands, "artwork", _artwork, "卡面:预览或整版 | the printed card: a preview, or sheets of a batch")
    art.add_argument("--out", type=Path, required=True, metavar="FILE",
                     help="PDF 文件，含完整卡号，仅本人可读 | a PDF with whole numbers, readable by you only")
    which = art.add_mutually_exclusive_group(required=True)
    which.add_argument("--batch", metavar="NAME", help="批次 | all good cards of a batch, on sheets of A4")
    which.add_argument("--number", type=number, metavar="DIGITS", help="19 位卡号 | one card, both sides with bleed")

    cards_desk.configure(commands)


def _configure_batches(commands: Any) -> None:
    actions = group(commands, "batch", "批次 | batches of blank chips")
    new = command(actions, "new", _batch_new, "新建 | a delivery of blanks, and what is made of it", keys=True)
    new.add_argument("--batch", required=True, metavar="NAME", help="批次号 | its name")
    new.add_argument("--product", required=True, metavar="NAME",
                     help=f"卡产品:名称或文件 | card product: a file, or one of {', '.join(products.names())}")
    new.add_argument("--profile", required=True, metavar="NAME",
                     help=f"指令集:名称或文件 | command set: a file, or one of {', '.join(profile.names('card'))}")
    new.add_argument("--count", type=whole(1, cards.ORDERED_MAX), required=True, metavar="N",
                     help="订购张数 | how many chips are ordered")
    new.add_argument("--vendor", default="", metavar="NAME", help="卡厂 | who makes the chips")
    new.add_argument("--chip", default="", metavar="HEX", help="芯片厂代码 | maker's code that GET CHIP must tell")
    new.add_argument("--mask", default="", metavar="HEX", help="掩膜代码 | mask that GET CHIP must tell")
    new.add_argument("--transport-version", type=whole(0, 255), default=1, metavar="N",
                     help="传输密钥版本 | version of the transport key (default 1)")
    new.add_argument("--control-version", type=whole(0, 255), default=1, metavar="N",
                     help="主控密钥版本 | version of the control key (default 1)")
    new.add_argument("--key-version", type=whole(0, 255), metavar="N",
                     help="应用密钥版本 | version of the cards' keys (default: the newest that all PSAMs have)")
    new.add_argument("--received", type=whole(0, cards.ORDERED_MAX), default=0, metavar="N",
                     help="已到张数 | how many are here already")
    command(actions, "list", _batch_list, "列出 | all batches and their counts")
    close = command(actions, "close", _batch_close, "关闭 | end a batch: what was not finished is bad or scrapped")
    close.add_argument("--batch", required=True, metavar="NAME", help="批次 | batch")


def _configure_ranges(commands: Any) -> None:
    actions = group(commands, "range", "卡号段 | numbers that an issuer may give")
    add = command(actions, "add", _range_add, "新增 | a range; one that overlaps another is refused")
    add.add_argument("--issuer", required=True, metavar="HEX", help="8 字节发卡机构标识 | 8-byte issuer identifier")
    add.add_argument("--first", type=number, required=True, metavar="DIGITS", help="起 | first number")
    add.add_argument("--last", type=number, required=True, metavar="DIGITS", help="止 | last number")
    command(actions, "list", _range_list, "列出 | ranges, and how far they are used")
    skip = command(actions, "skip", _range_skip,
                   "跳号 | leave numbers out for ever: a database that is lost may have given them")  # fmt: skip
    skip.add_argument("--first", type=number, required=True, metavar="DIGITS", help="号段的起号 | first of the range")
    skip.add_argument("--next", type=number, required=True, metavar="DIGITS",
                      help="下一个可用号 | next one to be given")


def run(args: argparse.Namespace) -> int:
    """Exit code of one command."""
    try:
        code: int | None = args.act(args)
        return code or 0
    except _REFUSALS as refusal:
        done = "; nothing was stored, try again later" if isinstance(refusal, engine.Busy) else ""
        print(f"ykt cards: {refusal}{done}", file=sys.stderr)
        return 1


# --- batches and ranges


def _batch_new(args: argparse.Namespace) -> None:
    store = Store(args.db)
    keys = keys_of(args, store)
    made, said = products.named(args.product)
    command_set = profile.named(args.profile)
    making.require_fit(made, command_set)
    made, said = _versioned(made, said, command_set, keys, args.key_version)
    row = {
        "batch": args.batch, "profile": _place_of(args.profile), "product": made.name, "product_json": said,
        "vendor": args.vendor, "chip": args.chip.upper(), "mask": args.mask.upper(),
        "transport_version": args.transport_version, "control_version": args.control_version,
        "kcv_set": json.dumps(cards_make.kcv_set(
            keys, made, command_set, args.transport_version, args.control_version
        )),
        "artwork_common": made.artwork_common, "artwork_local": made.artwork_local, "city": made.city.hex(),
        "operator": args.user, "start_s": now_s(), "end_s": None, "ordered": args.count,
    }  # fmt: skip
    with store.transaction() as db:
        cards.add_batch(db, row)
        if args.received:
            cards.receive(db, args.batch, args.received, args.user, now_s())
    say(args, {"batch": args.batch, "product": made.name, "key_version": made.key_version},
        f"{args.batch}: 已建立 | made; {made.name}, 密钥版本 key version {made.key_version}")  # fmt: skip


def _place_of(text: str) -> str:
    """A sample's name as it is; a file from wherever it is used later."""
    return str(Path(text).resolve()) if "/" in text or text.endswith(".json") else text


def _versioned(
    made: products.Product, said: str, command_set: profile.Profile, keys: Keyring, version: int | None
) -> tuple[products.Product, str]:
    """The product with the version of keys that this batch gets. Raises NoKey where one of them is missing."""
    if version is None:
        algorithm = next(row.algorithm for row in command_set.keys if row.purpose == "purchase")
        version = keys.version_for_cards("purchase", algorithm, made.issuer)
    content = {**json.loads(said), "key_version": version}
    said = json.dumps(content, ensure_ascii=False)
    made = products.parse(said, made.name)
    card_keys(keys, command_set, made.issuer, "3" + "0" * 18, made.key_version, made.maintenance_version)
    return made, said


def _batch_list(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        rows = [dict(row) for row in cards.batches(db)]
    names = ("batch", "product", "profile", "city", "operator", *_COUNTS)
    rows = [{name: row[name] for name in names} | {"closed": row["end_s"] is not None} for row in rows]
    table(
        args, "batches",
        (("批次", "batch"), ("产品", "product"), ("订购", "ordered"), ("到货", "received"), ("在制", "in process"),
         ("合格", "good"), ("坏片", "bad"), ("报废", "scrapped"), ("库存", "stock"), ("发出", "shipped"),
         ("状态", "state")),
        rows,
        [_column(name) for name in ("batch", "product", *_COUNTS[:-1])]
        + [lambda row: "已关闭 closed" if row["closed"] else "进行 open"],
        left=2,
    )  # fmt: skip


def _batch_close(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        count = cards.close_batch(db, args.batch, args.user, now_s())
    say(args, {"batch": args.batch, "unfinished": count},
        f"{args.batch}: 已关闭 | closed, {count} 片未完成 unfinished chips")  # fmt: skip


def _range_add(args: argparse.Namespace) -> None:
    issuer = args.issuer.upper()
    if len(issuer) != 16 or not all(digit in "0123456789ABCDEF" for digit in issuer):
        raise cards.RangeRefused("an issuer identifier is 8 bytes in hex, as file 15h has it")
    with Store(args.db).transaction() as db:
        cards.add_range(db, args.first, args.last, issuer, args.user, now_s())
    count = int(args.last) - int(args.first) + 1
    say(args, {"issuer": issuer, "numbers": count}, f"{issuer}: {count} 个卡号 | numbers added")


def _range_list(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        found = [dict(row) for row in cards.ranges(db)]
    rows = [
        {"issuer": row["issuer_id"], "first": str(row["first"]), "last": str(row["last"]),
         "used": row["next"] - row["first"], "left": row["last"] + 1 - row["next"]}
        for row in found
    ]  # fmt: skip
    table(args, "ranges",
          (("发卡机构", "issuer"), ("起", "first"), ("止", "last"), ("已用", "used"), ("剩余", "left")),
          rows, [_column(name) for name in ("issuer", "first", "last", "used", "left")], left=3)  # fmt: skip


def _range_skip(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        cards.skip_numbers(db, args.first, args.next)
    say(args, {"first": args.first, "next": args.next}, f"下一个 | next: {args.next}")


# --- counts


def _check(args: argparse.Namespace) -> int:
    with Store(args.db).reading() as db:
        problems = cards.check(db) + card_money.check(db)
        accounts = card_money.balances(db)
    say(args, {"problems": problems, "accounts_fen": accounts},
        "\n".join(problems) or "平衡 | everything adds up")  # fmt: skip
    return 1 if problems else 0


def _ship(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        in_stock = [row for row in cards.listed(db, args.batch, None) if row["bin"] == cards.STOCK]
        count = len(in_stock) if args.count is None else args.count
        if not 0 < count <= len(in_stock):
            raise cards.OutOfBalance(f"batch {args.batch} has {len(in_stock)} cards in stock, not {count}")
        for row in in_stock[:count]:
            cards.put_away(db, row["card_id"], cards.SHIPPED, "shipped", args.user, now_s())
    say(args, {"batch": args.batch, "shipped": count}, f"{args.batch}: {count} 张已发出 | shipped")


def _receive(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        cards.receive(db, args.batch, args.count, args.user, now_s())
    say(args, {"batch": args.batch, "received": args.count}, f"{args.batch}: {args.count} 片入库 | received")


def _return(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        cards.give_back(db, args.batch, args.count)
    say(args, {"batch": args.batch, "returned": args.count}, f"{args.batch}: {args.count} 片已退回 | returned")


def _scrap(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        row = cards.by_number(db, args.number)
        if row["state"] != card_states.STOCKED:
            raise CardsRefused(f"card {masked(args.number)} is {row['state']}, not in stock")
        cards.scrap(db, row["card_id"], args.why, args.user, now_s())
    say(args, {"number": masked(args.number), "state": "damaged"}, f"{masked(args.number)}: 已报废 | scrapped")


def _lock(args: argparse.Namespace) -> None:
    _set_state(args, card_states.LOCKED, "locked")


def _unlock(args: argparse.Namespace) -> None:
    _set_state(args, card_states.ACTIVE, "unlocked")


def _set_state(args: argparse.Namespace, state: str, why: str) -> None:
    with Store(args.db).transaction() as db:
        row = cards.by_number(db, args.number)
        if state == card_states.ACTIVE and row["state"] != card_states.LOCKED:
            raise CardsRefused(f"card {masked(args.number)} is {row['state']}, not locked")
        card_states.move(db, row["card_id"], state, why, args.user, now_s())
    say(args, {"number": masked(args.number), "state": state}, f"{masked(args.number)}: {state_words(state)}")


def _stock(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        counts: dict[tuple[str, str], int] = {}
        for row in cards.listed(db, args.batch, None):
            at = (row["batch"] or "-", row["state"])
            counts[at] = counts.get(at, 0) + 1
    rows = [{"batch": batch, "state": state, "cards": count} for (batch, state), count in sorted(counts.items())]
    table(args, "stock", (("批次", "batch"), ("状态", "state"), ("张", "cards")), rows,
          [_column("batch"), lambda row: state_words(row["state"]), _column("cards")], left=2)  # fmt: skip


# --- cards


def _list(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        found = cards.listed(db, args.batch, args.state)
    rows = [_card(dict(row), args.full) for row in found]
    table(
        args, "cards",
        (("卡号", "number"), ("批次", "batch"), ("卡种", "kind"), ("发卡机构", "issuer"), ("状态", "state"),
         ("有效期", "expiry")),
        rows,
        [_column("number"), lambda row: row["batch"] or "-",
         lambda row: products.KINDS.get(row["kind"], ("-", "-"))[0], _column("issuer"),
         lambda row: state_words(row["state"]), lambda row: row["expiry"] or "-"],
        left=6,
    )  # fmt: skip


def _card(row: dict[str, Any], full: bool) -> dict[str, Any]:
    number = row["number"] or ""
    return {
        "number": number if full else masked(number) or "-", "batch": row["batch"], "kind": row["kind"],
        "issuer": row["issuer_id"] or "-", "city": row["city"], "state": row["state"], "bin": row["bin"],
        "start": row["start"], "expiry": row["expiry"], "key_version": row["key_version"], "medium": row["medium"],
        "deposit_fen": row["deposit_fen"],
    }  # fmt: skip


def _show(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        row = cards.by_number(db, args.number)
        events = [dict(one) for one in cards.events(db, row["card_id"])]
        results = [dict(one) for one in cards.results(db, row["card_id"])]
        loads = [dict(one) for one in card_money.loads_of(db, args.number)]
        entries = [dict(one) for one in card_money.entries(db, args.number)]
        linked = [dict(one) for one in card_money.linked(db, row["card_id"])]
        shadow_fen = card_money.shadow_fen(db, args.number)
    said = _card(dict(row), False) | {
        "chip": row["chip_serial"], "shadow_fen": shadow_fen, "events": events, "results": results, "loads": loads,
        "entries": entries, "cases": linked,
    }  # fmt: skip
    lines = [f"{said['number']}  {state_words(row['state'])}  {row['start']}-{row['expiry']}  "
             f"账面余额 balance by the books {shadow_fen} 分 fen"]  # fmt: skip
    lines += [f"  {local(one['at_s'])}  {one['from_state'] or '-'} -> {one['to_state']}  {one['why']}  {one['actor']}"
              for one in events]  # fmt: skip
    lines += [f"  {local(one['at_s'])}  {one['step']}: {one['outcome']}  {one['reader']}  {one['machine']}  "
              f"{one['readback'][:16]}" for one in results]  # fmt: skip
    lines += [f"  {local(one['at_s'])}  {one['what']}  {one['amount_fen']} 分 fen  {one['debit']} -> {one['credit']}"
              for one in entries]  # fmt: skip
    lines += [f"  {local(one['opened_at_s'])}  case {one['case_id']} {one['kind']}: {one['state']}" for one in linked]
    say(args, said, "\n".join(lines))


def _artwork(args: argparse.Namespace) -> None:
    from backoffice.cards import artwork  # what draws takes a while to load, and the other commands do not draw

    with Store(args.db).reading() as db:
        if args.number:
            rows = [cards.by_number(db, args.number)]
        else:
            rows = [row for row in cards.listed(db, args.batch, None) if row["bin"] in (cards.STOCK, cards.SHIPPED)]
        if not rows or rows[0]["batch"] is None:
            raise CardsRefused("no card of ours to draw: make some first")
        made = products.parse(cards.batch(db, rows[0]["batch"])["product_json"], rows[0]["batch"])
    common = artwork.named(made.artwork_common, artwork.COMMON)
    local_side = artwork.named(made.artwork_local, artwork.LOCAL)
    faces = [artwork.Face(row["number"], made.printed(row["number"], row["start"], row["expiry"])) for row in rows]
    if args.number:
        content = artwork.preview(common, local_side, faces[0])
    else:
        content = artwork.sheets(common, local_side, faces, args.batch)
    with open(os.open(args.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    say(args, {"out": str(args.out), "cards": len(faces)}, f"{args.out}: {len(faces)} 张 | cards")


def _column(name: str) -> Any:
    return lambda row: row[name]


