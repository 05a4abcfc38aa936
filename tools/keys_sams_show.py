"""`ykt keys sams stock`, `list`, `coverage`: what there is, and where. 中文 and English."""

import argparse
from typing import Any

from backoffice.keys import sam_stock
from backoffice.store import sam_tables as tables
from backoffice.store.days import local
from tools.backoffice_text import Head, print_table
from tools.keys_sams_args import action, day, now_s, print_json, reading, state_words, whole, writing


def configure(actions: Any) -> None:
    stock = action(actions, "stock", _stock, "库存平衡 | issued = installed + stock + destroyed + lost", user=False)
    stock.add_argument("--close", type=day, metavar="DAY", help="日结存档 | write down a day that is over")
    stock.add_argument("--user", default="", metavar="NAME", help="日结人 | who closes the day")
    listing = action(actions, "list", _list, "列出 | SAMs, orders or boxes", user=False)
    what = listing.add_mutually_exclusive_group()
    what.add_argument("--orders", action="store_true", help="订单与批次 | orders and batches")
    what.add_argument("--boxes", action="store_true", help="装箱 | boxes")
    what.add_argument("--sam", metavar="NUMBER", help="一张的来历 | what happened to one")
    listing.add_argument("--state", choices=tables.STATES, help="状态 | of one state")
    listing.add_argument("--batch", type=whole(1, 1 << 40), metavar="N", help="批次 | of one batch")
    cover = action(actions, "coverage", _coverage, "新密钥覆盖率 | which installed SAMs have a key version", user=False)
    cover.add_argument("--version", type=whole(0, 255), required=True, metavar="N", help="密钥版本 | key version")
    cover.add_argument("--purpose", choices=("purchase", "maintenance"), default="purchase",
                       help="用途 | (default purchase)")
    cover.add_argument("--algorithm", choices=("3DES", "SM4"), default="3DES", help="算法 | (default 3DES)")



def _stock(args: argparse.Namespace) -> None:
    if args.close is not None:
        with writing(args) as db:
            rows = sam_stock.close_day(db, args.close, args.user, now_s())
    else:
        with reading(args) as db:
            rows = sam_stock.stock(db)
    everything = sam_stock.total(rows)
    if args.json:
        told = [{**row._asdict(), "states": dict(row.states)} for row in rows]
        print_json({"day": args.close, "balanced": all(map(sam_stock.balances, rows)), "rows": told})
        return
    if not rows:
        print("还没有 SAM | no SAMs yet: `ykt keys sams order`")
        return
    print_table(
        (("单位", "operator"), ("种类", "kind"), ("发出", "issued"), ("已装机", "installed"), ("库存", "stock"),
         ("已销毁", "destroyed"), ("丢失", "lost"), ("未完成", "unfinished"), ("报废", "scrapped"),
         ("总号数", "given")),
        [
            (row.operator or "合计 total", row.kind, *(str(row[at]) for at in _COLUMNS))
            for row in [*rows, everything]
        ],
        left=2,
    )  # fmt: skip
    print(f"发出 issued {everything.issued} = 装机 installed {everything.installed} + 库存 stock {everything.stock} "
          f"+ 销毁 destroyed {everything.destroyed} + 丢失 lost {everything.lost}")


def _list(args: argparse.Namespace) -> None:
    with reading(args) as db:
        if args.orders:
            query, head = _ORDERS
        elif args.boxes:
            query, head = _BOXES
        elif args.sam is not None:
            tables.sam(db, args.sam)
            query, head = _EVENTS
        else:
            query, head = _SAMS
        values = {"state": args.state, "batch": args.batch, "sam": args.sam}
        rows = [dict(row) for row in db.execute(query, values)]
    if args.json:
        print_json(rows)
        return
    if not rows:
        print("没有 | none")
        return
    print_table(head, [tuple(_cell(name, value) for name, value in row.items()) for row in rows], left=len(head))


_COLUMNS = [sam_stock.Stock._fields.index(name) for name in (
    "issued", "installed", "stock", "destroyed", "lost", "unfinished", "scrapped", "given")]  # fmt: skip
_SAMS: tuple[str, Head] = (
    "SELECT sam_no, terminal, kind, batch_id, operator, state, device_id, (SELECT GROUP_CONCAT(version, ' ') "
    "FROM sam_key WHERE sam_key.sam_no = sam.sam_no AND purpose = 'purchase') AS purchase_keys, "
    "(SELECT what || ' ' || asked_by FROM sam_request WHERE sam_request.sam_no = sam.sam_no AND settled_by IS NULL "
    "AND dropped = 0) AS waits FROM sam "
    "WHERE (:state IS NULL OR state = :state) AND (:batch IS NULL OR batch_id = :batch) ORDER BY sam_no",
    (("SAM 号", "SAM"), ("终端号", "terminal"), ("种类", "kind"), ("批次", "batch"), ("单位", "operator"),
     ("状态", "state"), ("终端", "device"), ("消费密钥版本", "purchase keys"), ("待第二人", "waits for another")),
)  # fmt: skip
_ORDERS: tuple[str, Head] = (
    "SELECT order_id, sam_batch.batch_id, kind, operator, sam_order.quantity, sam_batch.quantity AS of_batch, "
    "(SELECT COUNT(*) FROM sam WHERE sam.batch_id = sam_batch.batch_id AND checked_at_s IS NOT NULL) AS good, "
    "ordered_by, approved_by FROM sam_order LEFT JOIN sam_batch USING (order_id) ORDER BY 1, 2",
    (("订单", "order"), ("批次", "batch"), ("种类", "kind"), ("单位", "operator"), ("数量", "quantity"),
     ("本批", "in batch"), ("合格", "good"), ("订货人", "ordered by"), ("复核人", "approved by")),
)  # fmt: skip
_BOXES: tuple[str, Head] = (
    "SELECT sam_box.box_id, sam_box.operator, COUNT(*) AS sams, SUM(state = 'shipped') AS on_its_way, shipped_by, "
    "shipped_at_s, digest FROM sam_box JOIN sam USING (box_id) GROUP BY sam_box.box_id ORDER BY 1",
    (("箱", "box"), ("单位", "operator"), ("张数", "SAMs"), ("在途", "on its way"), ("发运人", "shipped by"),
     ("时间", "time"), ("摘要", "sha256")),
)  # fmt: skip
_EVENTS: tuple[str, Head] = (
    "SELECT at_s, what, from_state AS before, to_state AS state, user, detail FROM sam_event WHERE sam_no = :sam "
    "ORDER BY id",
    (("时间", "time"), ("事件", "event"), ("原状态", "before"), ("状态", "state"), ("经办人", "by"),
     ("说明", "detail")),
)  # fmt: skip


def _cell(name: str, value: Any) -> str:
    if name == "state":
        return state_words(value)
    if name.endswith("at_s"):
        return local(value)
    return "-" if value in (None, "") else str(value)


def _coverage(args: argparse.Namespace) -> int:
    with reading(args) as db:
        found = sam_stock.coverage(db, args.version, args.purpose, args.algorithm)
    if args.json:
        print_json(found._asdict())
    else:
        print(f"{args.purpose} {args.algorithm} {args.version}: 已装机 installed {found.installed}, "
              f"具备 have {found.have}, 库存缺 lacking in stock {len(found.stock_lacking)}")
        for sam_no in found.lacking:
            print(f"  {sam_no}: 缺 lacks it")
    return 1 if found.lacking else 0


