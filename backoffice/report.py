"""What a database holds, in figures: for the clerk's table, the demo and any program."""

import sqlite3
from pathlib import Path
from typing import Any

from backoffice.clearing import grey
from backoffice.store import states
from backoffice.store.engine import Store
from tunion.wire import reason, tap

_GREY_WAYS = {
    grey.AMENDED_PAID: "amended_paid",
    grey.AMENDED_VOID: "amended_void",
    grey.CHAIN_PAID: "chain_paid",
    grey.CHAIN_VOID: "chain_void",
    grey.EXPIRED: "expired",
}


def summary(db: Path) -> dict[str, Any]:
    """Figures of a database that `clear` has seen; all money in fen.

    taps          tap records stored, the void ones included
    refused       reason -> count, from the devices' events
    grey          torn in the debit: opened, resolved, open; how -> count: proved (the card came back to its validator),
                  chain_paid, chain_void (its next purchase told), amended_paid, amended_void, expired
    cleared_fen   in effective runs; open_fen: neither cleared nor void; void_fen
    states        state -> {count, amount_fen}
    lines         per operator and issuer: count, amount_fen, fee_fen, net_fen (amount less fee)
    nets_fen      organisation -> receives less pays, the centres among them
    orgs          organisation of nets_fen -> zh, en: its names
    anomalies     code -> count of those still open
    output_digest of the latest effective run, '' before the first
    """
    store = Store(db)
    try:
        with store.reading() as connection:
            return figures(connection)
    finally:
        store.close()


def figures(db: sqlite3.Connection) -> dict[str, Any]:
    by_state = {
        row["state"]: {"count": row["n"], "amount_fen": row["fen"]}
        for row in db.execute("SELECT state, COUNT(*) AS n, SUM(amount_fen) AS fen FROM txn GROUP BY state")
    }

    def fen(*wanted: str) -> int:
        return sum(by_state[state]["amount_fen"] for state in wanted if state in by_state)

    latest = db.execute(
        "SELECT output_digest FROM clearing_run WHERE status = 'EFFECTIVE' ORDER BY day DESC LIMIT 1"
    ).fetchone()
    nets_fen = _nets(db)
    return {
        "taps": sum(state["count"] for state in by_state.values()),
        "refused": _refused(db),
        "grey": _grey(db),
        "cleared_fen": fen(states.CLEARED),
        "open_fen": fen(*states.OPEN),
        "void_fen": fen(states.VOID),
        "states": by_state,
        "lines": _lines(db),
        "nets_fen": nets_fen,
        "orgs": _names(db, nets_fen),
        "anomalies": {
            row["code"]: row["n"]
            for row in db.execute(
                "SELECT code, COUNT(*) AS n FROM anomaly WHERE closed_at_s IS NULL GROUP BY code ORDER BY code"
            )
        },
        "output_digest": latest["output_digest"] if latest else "",
    }


def by_device(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Device's name -> taps, refused: what came from it."""
    rows = db.execute(
        """
        SELECT name, (SELECT COUNT(*) FROM txn WHERE txn.device_id = device.device_id) AS taps,
               (SELECT COUNT(*) FROM event JOIN entry ON entry.id = event.id
                WHERE entry.device_id = device.device_id AND event.code = ?) AS refused
        FROM device ORDER BY device_id
        """,
        (tap.REFUSED,),
    )
    return {row["name"]: {"taps": row["taps"], "refused": row["refused"]} for row in rows}


def _refused(db: sqlite3.Connection) -> dict[str, int]:
    rows = db.execute(
        "SELECT reason, COUNT(*) AS n FROM event WHERE code = ? GROUP BY reason ORDER BY reason", (tap.REFUSED,)
    )
    return {reason.name(row["reason"]): row["n"] for row in rows}


def _grey(db: sqlite3.Connection) -> dict[str, Any]:
    """From the history, so that a record that went on still counts as what it once was."""
    sent_grey = db.execute("SELECT COUNT(DISTINCT txn_id) FROM txn_event WHERE to_state = 'GREY'").fetchone()[0]
    proved = db.execute("SELECT COUNT(*) FROM txn WHERE outcome = ?", (tap.PROVED,)).fetchone()[0]
    still = db.execute("SELECT COUNT(*) FROM txn WHERE state = 'GREY'").fetchone()[0]
    rows = db.execute("SELECT reason, COUNT(*) AS n FROM txn_event WHERE from_state = 'GREY' GROUP BY reason")
    how = {_GREY_WAYS.get(row["reason"], row["reason"]): row["n"] for row in rows}
    if proved:
        how["proved"] = proved
    return {"opened": sent_grey + proved, "resolved": sent_grey + proved - still, "open": still, "how": how}


def _lines(db: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = db.execute(
        """
        SELECT share.operator AS operator, operator.name_zh AS operator_zh, operator.name_en AS operator_en,
               line.payer AS issuer, issuer.name_zh AS issuer_zh, issuer.name_en AS issuer_en, line.test AS test,
               SUM(share.count) AS count, SUM(share.amount_fen) AS amount_fen, SUM(share.fee_fen) AS fee_fen,
               SUM(share.amount_fen) - SUM(share.fee_fen) AS net_fen
        FROM operator_share AS share
        JOIN settle_line AS line ON line.run_id = share.run_id AND line.line_no = share.line_no
        JOIN clearing_run AS run ON run.run_id = share.run_id
        JOIN org AS operator ON operator.org = share.operator
        JOIN org AS issuer ON issuer.org = line.payer
        WHERE run.status = 'EFFECTIVE'
        GROUP BY share.operator, operator.name_zh, operator.name_en, line.payer, issuer.name_zh, issuer.name_en,
                 line.test
        ORDER BY share.operator, line.payer, line.test
        """
    )
    return [dict(row) for row in rows]


def _nets(db: sqlite3.Connection) -> dict[str, int]:
    """Over all effective runs; test money apart, as test/<organisation>."""
    rows = db.execute(
        "SELECT line.* FROM settle_line AS line JOIN clearing_run AS run USING (run_id) WHERE run.status = 'EFFECTIVE'"
    )
    net: dict[str, int] = {}
    for row in rows:
        prefix = "test/" if row["test"] else ""
        for party, fen in (
            (row["payer"], row["issuer_fen"] - row["amount_fen"]),
            (row["payee"], row["amount_fen"] - row["fee_fen"] + row["acquirer_fen"]),
            (f"centre:{row['level']}", row["centre_fen"]),
        ):
            net[prefix + party] = net.get(prefix + party, 0) + fen
    return dict(sorted(net.items()))


def _names(db: sqlite3.Connection, nets_fen: dict[str, int]) -> dict[str, dict[str, str]]:
    """Of those in `nets_fen`; the centres are no organisations of the registry."""
    wanted = {party.removeprefix("test/") for party in nets_fen}
    rows = db.execute("SELECT org, name_zh, name_en FROM org ORDER BY org")
    return {row["org"]: {"zh": row["name_zh"], "en": row["name_en"]} for row in rows if row["org"] in wanted}
