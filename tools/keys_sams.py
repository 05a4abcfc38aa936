"""`ykt keys sams`: SAMs from the order to their end. Tables, states and reasons: backoffice/docs/sams.md

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted (what was begun goes on next time).
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from backoffice.cards.channel import ChipRefused
from backoffice.cards.line import CardGone
from backoffice.keys import sam_life as life
from backoffice.keys import sam_orders, sam_soft, sams
from backoffice.store import sam_tables as tables
from backoffice.store.sam_tables import SamRefused
from tools import keys_sams_show
from tools.keys_sams_args import (
    WAIT_S,
    action,
    complain,
    date,
    keys_of,
    line_of,
    now_s,
    octets,
    opened,
    print_json,
    print_keys,
    state_words,
    wait_for_chip,
    wait_for_next,
    wants_from,
    wants_reason,
    wants_sam,
    whole,
    writing,
)

MANY = 50_000  # numbers given in about a second
SCRAPS_MAX = 3  # one after another: then it is not the chips, but the profile or the reader
REFUSALS_MAX = 20  # chips put in that cannot be used, one after another


def configure(commands: Any) -> None:
    """Add `sams` to the sub-commands of `ykt keys`."""
    help_line = "PSAM、ISAM、软 SAM:订货到销毁 | SAMs, from the order to their end"
    parser = commands.add_parser("sams", help=help_line, description=help_line)
    actions = parser.add_subparsers(dest="sams_action", metavar="ACTION", required=True)
    _configure_orders(actions)
    _configure_making(actions)
    _configure_life(actions)
    keys_sams_show.configure(actions)


def _configure_orders(actions: Any) -> None:
    order = action(actions, "order", _order, "订货 | ask for SAMs; another person approves", keys=True)
    order.add_argument("--kind", choices=tables.KINDS, default=tables.PSAM,
                       help="种类,默认 psam | psam, isam (load SAM) or soft (default psam)")
    order.add_argument("--operator", required=True, metavar="ORG", help="使用单位 | organisation that will hold them")
    order.add_argument("--acquirer", required=True, metavar="ORG", help="收单机构 | whose records clear under them")
    order.add_argument("--quantity", type=whole(1, sam_orders.QUANTITY_MAX), required=True, metavar="N",
                       help="数量 | how many")
    order.add_argument("--slots", type=whole(1, sam_orders.SLOTS_MAX), default=2, metavar="N",
                       help="终端卡槽数,默认 2 | SAM slots of their terminals (default 2)")
    order.add_argument("--issuer", type=octets(8), required=True, metavar="HEX",
                       help="文件 17h 的机构标识 | issuer identifier of file 17h, 16 hex digits")
    order.add_argument("--start", type=date, required=True, metavar="YYYY-MM-DD", help="启用日 | first day")
    order.add_argument("--expiry", type=date, required=True, metavar="YYYY-MM-DD", help="有效期 | last day")
    order.add_argument("--profile", default="", metavar="NAME",
                       help="写卡方案,名称或文件 | how chips are written: of backoffice/cards/profiles, or a file")

    approve = action(actions, "approve", _approve, "复核并分配号码 | by a second person: numbers are given")
    approve.add_argument("--order", type=whole(1, 1 << 40), required=True, metavar="N", help="订单 | order")
    approve.add_argument("--batch-size", type=whole(1, sam_orders.BATCH_MAX), default=sam_orders.BATCH_MAX,
                         metavar="N", help="每批数量 | SAMs of a batch (default: up to 1000)")
    approve.add_argument("--first", type=whole(1, sam_orders.SEQUENCE_MAX), metavar="N",
                         help="起始号,其前的号不再使用 | begin at this number; those before it are never used")


def _configure_making(actions: Any) -> None:
    make = action(actions, "make", _make, "写卡并检测 | write blanks, one after another, and try each", keys=True)
    make.add_argument("--batch", type=whole(1, 1 << 40), required=True, metavar="N", help="批次 | batch")
    make.add_argument("--count", type=whole(1, sam_orders.BATCH_MAX), metavar="N",
                      help="只做几张 | stop after so many chips (default: until the batch is complete)")
    check = action(actions, "check", _check, "复检一张 | try a finished SAM again", keys=True)
    update = action(actions, "update", _update, "写入新版本密钥 | write the key versions that a SAM lacks", keys=True)
    for one in (make, check, update):
        one.add_argument("--reader", required=True, metavar="NAME", help="读卡器 | reader, as pcscd names it")
        one.add_argument("--wait", type=whole(1, 3600), default=WAIT_S, metavar="S",
                            help=f"等卡秒数,默认 {WAIT_S} | wait for a chip so many seconds (default {WAIT_S})")
    scrap = action(actions, "scrap", _scrap, "报废在制品,两人各做一次 | give up a chip and its number: two people")
    wants_sam(scrap)
    wants_reason(scrap)

    enter = action(actions, "enter", _enter, "登记外制 ISAM | take in a load SAM that its maker has written")
    enter.add_argument("--batch", type=whole(1, 1 << 40), required=True, metavar="N", help="批次 | batch of isam")
    enter.add_argument("--chip", required=True, metavar="HEX", help="芯片序列号 | chip serial, 16 hex digits")

    soft = action(actions, "soft", _soft, "生成软 SAM | make or renew a soft SAM's blob for one device", keys=True)
    which = soft.add_mutually_exclusive_group(required=True)
    which.add_argument("--batch", type=whole(1, 1 << 40), metavar="N", help="批次:生成下一张 | the next of a batch")
    which.add_argument("--sam", metavar="NUMBER", help="SAM 号:换发新一代 | renew this one")
    soft.add_argument("--device", type=whole(1, (1 << 32) - 1), metavar="N",
                      help="终端,与 --batch 同用 | device, with --batch")
    soft.add_argument("--storage-key-file", type=Path, required=True, metavar="FILE",
                      help="终端存储密钥文件,64 位十六进制 | the device's storage key, 64 hex digits")
    soft.add_argument("--also", type=octets(8), action="append", default=[], metavar="HEX",
                      help="另加发卡机构,可重复 | further issuers; repeatable")
    soft.add_argument("--out", type=Path, required=True, metavar="FILE", help="写入文件 | where the blob goes")


def _configure_life(actions: Any) -> None:
    ship = action(actions, "ship", _ship, "装箱发运 | put checked SAMs into a box, with a note", keys=True)
    which = ship.add_mutually_exclusive_group(required=True)
    which.add_argument("--batch", type=whole(1, 1 << 40), metavar="N", help="整批合格品 | all good ones of a batch")
    which.add_argument("--sam", action="append", metavar="NUMBER", help="SAM 号,可重复 | these; repeatable")
    ship.add_argument("--out", type=Path, metavar="FILE", help="装箱单写入文件 | write the note (JSON) here")
    ship.add_argument("--key", default="", metavar="ID", help="装箱单签名密钥 | this key signs the note")

    receive = action(actions, "receive", _receive, "运营单位收货 | the operator counts a box")
    receive.add_argument("--box", type=whole(1, 1 << 40), required=True, metavar="N", help="箱号 | box")
    found = receive.add_mutually_exclusive_group(required=True)
    found.add_argument("--all", action="store_true", help="全数到货 | all of it arrived")
    found.add_argument("--sam", action="append", metavar="NUMBER", help="实到 SAM 号,可重复 | what arrived; repeatable")

    link = action(actions, "link", _link, "装机登记,两人各做一次 | register in a device: two people, one by one")
    wants_sam(link)
    link.add_argument("--device", type=whole(1, (1 << 32) - 1), required=True, metavar="N", help="终端 | device")
    wants_from(link)
    unlink = action(actions, "unlink", _unlink, "拆机,两人各做一次 | take out of its device: two people")
    destroy = action(actions, "destroy", _destroy, "销毁,两人各做一次 | destroyed in front of two people")
    drop = action(actions, "drop", _drop, "撤回待第二人的申请 | drop what waits for a second person")
    for one in (unlink, destroy, drop):
        wants_sam(one)
    block = action(actions, "block", _block, "停用:此后记录拒收 | refuse its records from now or an earlier time")
    lost = action(actions, "lost", _lost, "挂失并停用 | nobody knows where it is; blocked as well")
    found_again = action(actions, "found", _found, "找回,仍停用 | a lost one is at hand; it stays blocked")
    for one in (block, lost, found_again):
        wants_sam(one)
        wants_reason(one)
    for one in (block, lost):
        wants_from(one)


# --- orders


def _order(args: argparse.Namespace) -> None:
    wanted = sam_orders.Order(
        args.kind, args.operator, args.acquirer, args.quantity, args.slots, args.issuer, args.start, args.expiry,
        args.profile,
    )  # fmt: skip
    with opened(args) as store, keys_of(args, store) as keys:
        with store.transaction() as db:
            order_id = sam_orders.order(db, keys, wanted, args.user, now_s())
            found = sam_orders.keys_of(db, order_id)
    if args.json:
        print_json({"order": order_id, "keys": [key._asdict() for key in found]})
        return
    print(f"订单 order {order_id}: 已登记,待复核 | stored, waits for a second person")
    print_keys(found)


def _approve(args: argparse.Namespace) -> None:
    with writing(args) as db:
        quantity = sam_orders.stored(db, args.order)["quantity"]
        if quantity >= MANY:
            print(f"正在分配 {quantity} 个号码 | giving {quantity} numbers, some seconds", file=sys.stderr, flush=True)
        batches = sam_orders.approve(db, args.order, args.user, now_s(), args.batch_size, args.first)
        rows = [_batch_numbers(db, batch_id) for batch_id in batches]
    if args.json:
        print_json({"order": args.order, "batches": rows})
        return
    for row in rows:
        print(f"批次 batch {row['batch']}: {row['quantity']} 张, 终端号 terminals {row['first']} – {row['last']}")


def _batch_numbers(db: Any, batch_id: int) -> dict[str, Any]:
    row = db.execute(
        "SELECT COUNT(*) AS n, MIN(terminal) AS first, MAX(terminal) AS last FROM sam WHERE batch_id = ?", (batch_id,)
    ).fetchone()
    return {"batch": batch_id, "quantity": row["n"], "first": row["first"], "last": row["last"]}


# --- chips


def _make(args: argparse.Namespace) -> int:
    with opened(args) as store, keys_of(args, store) as keys, line_of(args) as line:
        maker = sams.Maker(store, keys, args.batch, args.user, now_s)
        done = scrapped = in_a_row = refused = 0
        while maker.missing() and (args.count is None or done + scrapped + refused < args.count):
            wait_for_chip(args, line)
            started = time.monotonic()
            try:
                made = maker.make(line)
            except sams.Scrapped as failed:
                scrapped, in_a_row = scrapped + 1, in_a_row + 1
                complain(args, failed)
                if in_a_row == SCRAPS_MAX:
                    raise SamRefused(f"{SCRAPS_MAX} chips in a row failed: check profile and reader") from failed
            except (sams.NotBlank, sams.AlreadyMade, ChipRefused) as failed:
                refused += 1
                complain(args, failed)
                if refused == REFUSALS_MAX:
                    raise
            except CardGone as gone:
                complain(args, gone)
                refused += 1
                if refused == REFUSALS_MAX:
                    raise
                continue  # the same chip may come back at once
            else:
                done, in_a_row = done + 1, 0
                _print_made(args, made, maker, time.monotonic() - started)
            if maker.missing() and (args.count is None or done + scrapped + refused < args.count):
                wait_for_next(args, line)
        missing = maker.missing()
    if args.json:
        print_json({"batch": args.batch, "made": done, "scrapped": scrapped, "refused": refused, "missing": missing})
    else:
        print(f"批次 batch {args.batch}: 合格 good {done}, 报废 scrapped {scrapped}, 尚缺 missing {missing}")
    return 1 if scrapped or refused or (missing and args.count is None) else 0


def _print_made(args: argparse.Namespace, made: sams.Written, maker: sams.Maker, took_s: float) -> None:
    if args.json:
        print_json({**made._asdict(), "keys": [key._asdict() for key in made.keys]})
        return
    quantity = maker.order["batch_quantity"]
    mark = ", 续写 resumed" if made.resumed else ""
    place = quantity - maker.missing()
    said = f"{place}/{quantity}  {made.sam_no}  终端 terminal {made.terminal}  合格 good  {took_s:.1f} s{mark}"
    print(said, flush=True)


def _check(args: argparse.Namespace) -> None:
    with opened(args) as store, keys_of(args, store) as keys, line_of(args) as line:
        wait_for_chip(args, line)
        _print_checked(args, sams.check_again(store, keys, line, args.user, now_s))


def _print_checked(args: argparse.Namespace, made: sams.Written) -> None:
    if args.json:
        print_json({**made._asdict(), "keys": [key._asdict() for key in made.keys]})
        return
    print(f"{made.sam_no}  终端 terminal {made.terminal}  合格 good")
    print_keys(made.keys)


def _update(args: argparse.Namespace) -> None:
    with opened(args) as store, keys_of(args, store) as keys, line_of(args) as line:
        wait_for_chip(args, line)
        written = sams.update(store, keys, line, args.user, now_s)
    if args.json:
        print_json({"written": [key._asdict() for key in written]})
        return
    print("已写入 | written" if written else "无需写入 | it has all active versions")
    print_keys(written)


def _scrap(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = sams.scrap(db, args.sam, args.reason, args.user, now_s())
    _said(args, tables.SCRAPPED if done else None)


def _enter(args: argparse.Namespace) -> None:
    with writing(args) as db:
        args.sam = life.enter(db, args.batch, args.chip, args.user, now_s())
    _said(args, tables.CHECKED)


def _soft(args: argparse.Namespace) -> None:
    if (args.batch is None) != (args.device is None):
        raise SamRefused("--device goes with --batch; a soft SAM that is renewed has its device")
    if args.out.exists():
        raise SamRefused(f"{args.out} exists: name another file")
    storage_key = _storage_key(args.storage_key_file)
    handle = os.open(args.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # the disk is asked first
    try:
        with os.fdopen(handle, "wb") as file, opened(args) as store, keys_of(args, store) as keys:
            with store.transaction() as db:
                if args.batch is not None:
                    made = sam_soft.make(
                        db, keys, args.batch, args.device, storage_key, args.also, args.user, now_s()
                    )
                else:
                    made = sam_soft.renew(db, keys, args.sam, storage_key, args.also, args.user, now_s())
                file.write(made.blob)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        args.out.unlink(missing_ok=True)
        raise
    if args.json:
        print_json({"sam_no": made.sam_no, "terminal": made.terminal, "generation": made.generation,
                     "out": str(args.out), "keys": [key._asdict() for key in made.keys]})  # fmt: skip
        return
    print(f"{made.sam_no}  终端 terminal {made.terminal}  第 {made.generation} 代 generation: {args.out}")
    print_keys(made.keys)


def _storage_key(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:  # it would carry what stands in the file
        raise SamRefused(f"{path}: a storage key is 64 hex digits") from None


# --- life


def _ship(args: argparse.Namespace) -> None:
    with opened(args) as store, contextlib.ExitStack() as stack:
        keys = stack.enter_context(keys_of(args, store)) if args.key else None
        with store.transaction() as db:
            sam_nos = args.sam or _checked(db, args.batch)
            box = life.ship(db, sam_nos, args.user, now_s(), keys, args.key)
            if args.out is not None:
                args.out.write_text(box.note + "\n", encoding="utf-8")
    if args.json:
        print_json({"box": box.box_id, "digest": box.digest, "key": box.key_id, "signature": box.signature.hex(),
                     "note": json.loads(box.note)})  # fmt: skip
        return
    print(f"箱 box {box.box_id}: {len(sam_nos)} 张, 已发运 | shipped; sha256 {box.digest}")
    if box.signature:
        print(f"签名 signed by {box.key_id}: {box.signature.hex()}")


def _checked(db: Any, batch_id: int) -> list[str]:
    sam_orders.of_batch(db, batch_id)
    rows = db.execute("SELECT sam_no FROM sam WHERE batch_id = ? AND state = ?", (batch_id, tables.CHECKED))
    found = [str(row["sam_no"]) for row in rows]
    if not found:
        raise SamRefused(f"batch {batch_id} has no checked SAMs in stock")
    return found


def _receive(args: argparse.Namespace) -> int:
    with writing(args) as db:
        missing = life.receive(db, args.box, [life.ALL] if args.all else args.sam, args.user, now_s())
    if args.json:
        print_json({"box": args.box, "missing": missing})
    elif missing:
        print(f"箱 box {args.box}: 短少 missing {len(missing)}: {', '.join(missing)}; 异常 anomaly {life.SHORT_BOX}")
    else:
        print(f"箱 box {args.box}: 已全数收讫 | all received")
    return 1 if missing else 0


def _link(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = life.link(db, args.sam, args.device, args.user, now_s(), args.from_s)
    _said(args, tables.INSTALLED if done else None)


def _unlink(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = life.unlink(db, args.sam, args.user, now_s())
    _said(args, tables.RECEIVED if done else None)


def _destroy(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = life.destroy(db, args.sam, args.user, now_s())
    _said(args, tables.DESTROYED if done else None)


def _drop(args: argparse.Namespace) -> None:
    with writing(args) as db:
        life.drop_request(db, args.sam, args.user, now_s())
        state = tables.sam(db, args.sam)["state"]
    _said(args, state)


def _block(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = life.block(db, args.sam, args.reason, args.user, now_s(), args.from_s)
    _said(args, tables.BLOCKED, done)


def _lost(args: argparse.Namespace) -> None:
    with writing(args) as db:
        done = life.lose(db, args.sam, args.reason, args.user, now_s(), args.from_s)
    _said(args, tables.LOST, done)


def _found(args: argparse.Namespace) -> None:
    with writing(args) as db:
        life.find(db, args.sam, args.reason, args.user, now_s())
    _said(args, tables.BLOCKED)


def _said(args: argparse.Namespace, state: str | None, blocked: life.Blocked | None = None) -> None:
    """What became of one SAM; None: it waits for a second person."""
    if args.json:
        more = blocked._asdict() if blocked else {}
        print_json({"sam_no": args.sam, "done": state is not None, "state": state, **more})
    elif state is None:
        print(f"{args.sam}: 待第二人同样操作 | another person does the same")
    else:
        print(f"{args.sam}: {state_words(state)}")
        if blocked:
            print(f"拒收未清分记录 records refused {blocked.refused}, 已清分待查 cleared before {blocked.flagged}")


