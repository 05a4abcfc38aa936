"""Tables for people and other programs: CSV or JSON. Card numbers are masked to the first 6 and last 4 digits."""

import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from sqlite_utils import Database

from tunion.wire import reason, tap

Table = tuple[list[str], Iterator[dict[str, Any]]]  # column names, rows

WHATS = ("lines", "records", "anomalies", "refusals")
FORMATS = ("csv", "json")

_QUERIES = {
    "lines": """
        SELECT run.day, line.level, line.payer, line.payee, share.operator, line.business, line.service, line.test,
               line.rule_id, line.product, share.count, share.amount_fen, share.fee_fen, line.count AS line_count,
               line.amount_fen AS line_amount_fen, line.fee_fen AS line_fee_fen, line.issuer_fen AS line_issuer_fen,
               line.acquirer_fen AS line_acquirer_fen, line.centre_fen AS line_centre_fen
        FROM operator_share AS share
        JOIN settle_line AS line ON line.run_id = share.run_id AND line.line_no = share.line_no
        JOIN clearing_run AS run ON run.run_id = share.run_id
        WHERE run.status = 'EFFECTIVE'
        ORDER BY run.day, line.line_no, share.operator
    """,
    "records": """
        SELECT device_id, epoch, seq, copy, accept_day, at_s, card, issuer_id, card_kind, counter, balance_fen,
               amount_fen, list_fen, discount_fen, terminal, terminal_seq, fare_id, fare_version, line, stop_in,
               stop_out, event, fare_case, layer, riders, modes, granted, owed_fen, ride_s, outcome, mac2, state,
               reason, proof
        FROM txn ORDER BY id
    """,
    "anomalies": """
        SELECT code, ref, amount_fen, owner, opened_at_s, closed_at_s, resolution, detail FROM anomaly ORDER BY id
    """,
    "refusals": """
        SELECT entry.device_id, entry.epoch, entry.seq, event.at_s, event.reason, event.card, event.value
        FROM event JOIN entry ON entry.id = event.id WHERE event.code = ? ORDER BY event.id
    """,
}


def table(db: sqlite3.Connection, what: str) -> Table:
    """Plain rows, masked. They are read while the caller's view of the database is open."""
    cursor = Database(db).execute(_QUERIES[what], [tap.REFUSED] if what == "refusals" else [])
    columns = [column[0] for column in cursor.description]
    return columns, _rows(cursor, columns, what)


def _rows(cursor: sqlite3.Cursor, columns: list[str], what: str) -> Iterator[dict[str, Any]]:
    for values in cursor:
        row = dict(zip(columns, values, strict=True))
        if "card" in row:
            row["card"] = masked(row["card"])
        if what == "refusals":
            row["reason"] = reason.name(row["reason"])
        yield row


def masked(card: str) -> str:
    """20 digits of an application serial number as the 19-digit card number with 9 digits hidden; '' for none."""
    number = card[1:] if card.startswith("0") else card
    return number[:6] + "*" * (len(number) - 10) + number[-4:] if number.strip("0") else ""


def write(columns: list[str], rows: Iterable[dict[str, Any]], form: str, out: TextIO) -> None:
    """JSON as one array; CSV with a header, also where there are no rows."""
    if form == "json":
        json.dump(list(rows), out, ensure_ascii=False, indent=1)
        out.write("\n")
        return
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
