"""`ykt cards issue | load …`: what happens at the counter, with a card on a reader."""

import argparse
from contextlib import closing
from typing import Any

from backoffice.cards.epurse import Epurse
from backoffice.cards.issue import issue
from backoffice.cards.load import Loader
from backoffice.store import card_money
from backoffice.store.card_states import masked
from backoffice.store.engine import Store
from tools.cards_args import command, keys_of, now_s, say, whole
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
        with store.transaction() as db:
            load_id = card_money.order(
                db, f"order {args.order}", card.number, args.fen, args.user, now_s(), card_money.CASH
            )
        done = loader(args, store).load(card, load_id)
    said = {"number": masked(card.number), "load": load_id, "loaded_fen": done.amount_fen,
            "balance_fen": done.balance_fen, "proof": "tac" if done.tac else "counter"}  # fmt: skip
    say(args, said, f"{masked(card.number)}: 充值 loaded {done.amount_fen}, 余额 balance {done.balance_fen} 分 fen")


def _load_back(args: argparse.Namespace) -> None:
    with Store(args.db).transaction() as db:
        amount_fen = card_money.refund_load(db, args.load, args.user, now_s())
    say(args, {"load": args.load, "refunded_fen": amount_fen}, f"{args.load}: 已退 refunded {amount_fen} 分 fen")


def loader(args: argparse.Namespace, store: Store) -> Loader:
    """The load point of this command."""
    return Loader(store, bcd.from_digits(args.terminal), args.user)
