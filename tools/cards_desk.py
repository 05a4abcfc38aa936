"""`ykt cards issue | load | replace …`: what happens at the counter, with a card on a reader."""

import argparse
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from backoffice.cards import legacy, rules, service
from backoffice.cards.epurse import Epurse
from backoffice.cards.issue import issue
from backoffice.cards.load import Loaded, Loader
from backoffice.store import card_money, cards
from backoffice.store.card_states import masked
from backoffice.store.days import local
from backoffice.store.engine import Store
from tools.cards_args import command, keys_of, now_s, number, say, table, whole
from tools.pcsc_line import PcscLine
from tunion import bcd

TERMINAL = "000000000001"       # of a load point that was given no number


def configure(commands: Any) -> None:
    give = command(commands, "issue", _issue, "发卡:激活、押金、首充 | activate a card, take its deposit, load it",
                   keys=True)  # fmt: skip
    _at_counter(give)
    give.add_argument("--load-fen", type=whole(0, card_money.LOAD_FEN_MAX), default=0, metavar="FEN",
                      help="首充金额，分 | first load in fen")
    give.add_argument("--even-expired", action="store_true",
                      help="过期也发，仅供测试 | also a card that is out of date, to try a refusal")
    load = command(commands, "load", _load, "充值 | load a card; or end a load whose card left", keys=True)
    _at_counter(load)
    load.add_argument("--order", required=True, metavar="NAME",
                      help="订单号，重试用同一个 | name of the order: the same one again for another try")
    load.add_argument("--fen", type=whole(1, card_money.LOAD_FEN_MAX), required=True, metavar="FEN",
                      help="金额，分 | amount in fen")
    back = command(commands, "load-back", _load_back, "未写卡的充值退款 | pay a load back that is not on the card")
    back.add_argument("--load", type=whole(1, 1 << 31), required=True, metavar="ID", help="充值编号 | its number")

    for kind, help_line in (
        (service.REPLACE, "换卡:余额转到新卡 | another card for this one; its balance moves"),
        (service.EXCHANGE, "存量卡更换升级 | a T-Union card for a card of the scheme before; its balance moves"),
        (service.REFUND, "退卡:退余额和押金 | give a card back: balance and deposit are paid"),
    ):
        parser = command(commands, kind, _moved, help_line, keys=True)
        _at_counter(parser)
        _with_rules(parser)
        parser.set_defaults(kind=kind)
        parser.add_argument("--case", type=whole(1, 1 << 31), metavar="ID",
                            help="续办的编号 | go on with a case that was interrupted")
        if kind != service.REFUND:
            parser.add_argument("--new-reader", metavar="NAME",
                                help="放新卡的读卡器 | reader with the new card; without: retire the old one only")
    bad = command(commands, "bad", _bad, "坏卡登记 | a card that does not answer: its waiting time begins", keys=True)
    bad.add_argument("--number", type=number, required=True, metavar="DIGITS", help="19 位卡号 | card number")
    _with_rules(bad)
    pay = command(commands, "bad-pay", _bad_pay, "坏卡退款 | pay the balance by the books, after the waiting time",
                  keys=True)  # fmt: skip
    pay.add_argument("--case", type=whole(1, 1 << 31), required=True, metavar="ID", help="编号 | number of the case")
    pay.add_argument("--new-reader", metavar="NAME", help="转到新卡 | onto the new card on this reader; else in cash")
    pay.add_argument("--terminal", default=TERMINAL, metavar="DIGITS", help="充值点编号 | number of the load point")
    _with_rules(pay)
    late = command(commands, "stragglers", _stragglers, "退款后到达的交易 | rides that came after a balance was paid",
                   keys=True)  # fmt: skip
    _with_rules(late)
    extend = command(commands, "extend", _extend, "延期 | another last day on the card", keys=True)
    _at_counter(extend)
    _with_rules(extend)
    extend.add_argument("--expiry", required=True, metavar="YYYYMMDD", help="新有效期 | new last day")
    approve = command(commands, "approve", _approve, "第二人批准 | the second person")
    approve.add_argument("--case", type=whole(1, 1 << 31), required=True, metavar="ID",
                         help="编号 | number of the case")
    command(commands, "cases", _cases, "列出业务 | all cases of the counter")
    retire = command(commands, "retire", _retire, "销毁 | a card that is of no use was cut up")
    retire.add_argument("--number", type=number, required=True, metavar="DIGITS", help="19 位卡号 | card number")


def _with_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rules", type=Path, default=rules.SAMPLE, metavar="FILE",
                        help="柜台规则 | rules of the counter (JSON; default: the sample)")


def _at_counter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reader", required=True, metavar="NAME", help="读卡器 | PC/SC reader")
    parser.add_argument("--terminal", default=TERMINAL, metavar="DIGITS",
                        help=f"充值点编号，12 位 | number of the load point (default {TERMINAL})")


def _issue(args: argparse.Namespace) -> None:
    store = Store(args.db)
    keys = keys_of(args, store)
    with closing(keys), closing(PcscLine(args.reader)) as line:
        card = Epurse(line, keys)
        card.open()
        done = issue(store, card, loader(args, store), args.load_fen, args.user, now_s(), args.even_expired)
    balance_fen = done.loaded.balance_fen if done.loaded else 0
    said = {
        "number": masked(done.number), "deposit_fen": done.deposit_fen, "price_fen": done.price_fen,
        "loaded_fen": args.load_fen, "balance_fen": balance_fen,
    }  # fmt: skip
    say(args, said, f"{masked(done.number)}: 已发行 | issued; 押金 deposit {done.deposit_fen}, "
                    f"售价 price {done.price_fen}, 余额 balance {balance_fen} 分 fen")  # fmt: skip


def _load(args: argparse.Namespace) -> None:
    store = Store(args.db)
    keys = keys_of(args, store)
    with closing(keys), closing(PcscLine(args.reader)) as line:
        card = Epurse(line, keys)
        card.open()
        point = loader(args, store)
        point.resolve(card)  # of a card that takes no money any more, too
        point.require_active(card.number)
        with store.transaction() as db:
            load_id = card_money.order(
                db, f"order {args.order}", card.number, args.fen, args.user, now_s(), card_money.CASH
            )
        done = point.load(card, load_id)
    said = {"number": masked(card.number), "load": load_id, "loaded_fen": done.amount_fen,
            "balance_fen": done.balance_fen, "proof": "tac" if done.tac else "counter"}  # fmt: skip
    say(args, said, f"{masked(card.number)}: 充值 loaded {done.amount_fen}, 余额 balance {done.balance_fen} 分 fen")


def _load_back(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        amount_fen = card_money.refund_load(db, args.load, args.user, now_s())
    say(args, {"load": args.load, "refunded_fen": amount_fen}, f"{args.load}: 已退 refunded {amount_fen} 分 fen")


def _moved(args: argparse.Namespace) -> None:
    """The old card on --reader; the new one on --new-reader, or the money over the counter."""
    store = Store(args.db)
    with ExitStack() as stack:
        desk = _desk(args, store, stack)
        case_id = desk.retire(args.kind, stack.enter_context(closing(PcscLine(args.reader))), args.case)
        loaded = None
        if args.kind == service.REFUND:
            desk.complete(case_id, None)
        elif args.new_reader:
            loaded = desk.complete(case_id, stack.enter_context(closing(PcscLine(args.new_reader))))
    _say_case(args, store, case_id, loaded)


def _bad(args: argparse.Namespace) -> None:
    store = Store(args.db)
    with ExitStack() as stack:
        case_id = _desk(args, store, stack).open_bad(args.number)
    _say_case(args, store, case_id, None)


def _bad_pay(args: argparse.Namespace) -> None:
    store = Store(args.db)
    with ExitStack() as stack:
        desk = _desk(args, store, stack)
        line = stack.enter_context(closing(PcscLine(args.new_reader))) if args.new_reader else None
        loaded = desk.pay_bad(args.case, line)
    _say_case(args, store, args.case, loaded)


def _stragglers(args: argparse.Namespace) -> None:
    store = Store(args.db)
    with ExitStack() as stack:
        count = _desk(args, store, stack).bear_stragglers()
    say(args, {"stragglers": count}, f"{count} 笔由发卡方承担 | rides borne by the issuer")


def _extend(args: argparse.Namespace) -> None:
    store = Store(args.db)
    with ExitStack() as stack:
        found = _desk(args, store, stack).extend(stack.enter_context(closing(PcscLine(args.reader))), args.expiry)
    say(args, {"number": masked(found), "expiry": args.expiry},
        f"{masked(found)}: 有效期至 | good until {args.expiry}")  # fmt: skip


def _approve(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        card_money.approve(db, args.case, args.user, now_s())
    say(args, {"case": args.case, "approved_by": args.user}, f"{args.case}: 已批准 | approved")


def _cases(args: argparse.Namespace) -> None:
    with Store(args.db).reading() as db:
        rows = [_case(db, row) for row in card_money.cases(db)]
    table(args, "cases",
          (("编号", "case"), ("业务", "kind"), ("旧卡", "old card"), ("新卡", "new card"), ("状态", "state"),
           ("最早付款", "not before"), ("金额", "amount")),
          rows, [lambda row: row["case"], lambda row: row["kind"], lambda row: row["old"], lambda row: row["new"],
                 lambda row: row["state"], lambda row: local(row["due_s"]) if row["due_s"] else "-",
                 lambda row: row["amount_fen"]], left=6)  # fmt: skip


def _retire(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        service.destroy(db, args.number, args.user, now_s())
    say(args, {"number": masked(args.number), "state": "destroyed"}, f"{masked(args.number)}: 已销毁 | destroyed")


def _case(db: Any, row: Any) -> dict[str, Any]:
    new = cards.card(db, row["new_card"])["number"] if row["new_card"] else None
    return {
        "case": row["case_id"], "kind": row["kind"], "old": masked(cards.card(db, row["old_card"])["number"]),
        "new": masked(new) if new else "-", "state": row["state"], "due_s": row["due_s"],
        "amount_fen": card_money.planned_fen(db, row["case_id"]), "approved_by": row["approved_by"],
    }  # fmt: skip


def _say_case(args: argparse.Namespace, store: Store, case_id: int, loaded: Loaded | None) -> None:
    with store.reading() as db:
        said = _case(db, card_money.case(db, case_id))
    said["balance_fen"] = loaded.balance_fen if loaded else None
    say(args, said, f"{case_id}: {said['kind']} {said['state']}, {said['old']} -> {said['new']}, "
                    f"{said['amount_fen']} 分 fen")  # fmt: skip


def _desk(args: argparse.Namespace, store: Store, stack: ExitStack) -> service.Desk:
    keys = stack.enter_context(closing(keys_of(args, store)))
    point = Loader(store, bcd.from_digits(getattr(args, "terminal", TERMINAL)), args.user)
    return service.Desk(store, keys, rules.read(args.rules), point, args.user, legacy.SAMPLE)


def loader(args: argparse.Namespace, store: Store) -> Loader:
    """The load point of this command."""
    return Loader(store, bcd.from_digits(args.terminal), args.user)
