"""A small city for the tests: a back office, and validators that sign and number their uploads as real ones do."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from backoffice import setup
from backoffice.intake.receive import Answer, Intake
from backoffice.intake.server import app
from backoffice.keys import load, vault
from backoffice.keys.keyring import Keyring
from backoffice.keys.soft import open_keys
from backoffice.store.engine import Store
from tunion import bcd, cose
from tunion.crypto import keys
from tunion.wire import enrol, sync, tap

SAMPLES = Path(setup.__file__).parent / "samples"
AUDIENCE = "backoffice.example"
PASSPHRASE = b"an invented passphrase"
NOON_S = bcd.at_s(bytes.fromhex("20250601120000"))
DAY = "2025-06-01"
NEXT_DAY = "2025-06-02"
DAY_S = 86400

MTK = bytes.fromhex("99999999AAAAAAAABBBBBBBBCCCCCCCC")  # of samples/test_keys.json
ISSUERS = {"alder": bytes.fromhex("09990100FFFFFFFF"), "birch": bytes.fromhex("09990200FFFFFFFF")}


def device_key(device_id: int) -> bytes:
    """As samples/test_keys.json has it."""
    for row in json.loads((SAMPLES / "test_keys.json").read_text())["keys"]:
        if row["purpose"] == "device" and row["subject"] == str(device_id):
            return bytes.fromhex(row["value"])
    raise LookupError(device_id)


class City:
    """A back office in a folder; `now_s` is its clock."""

    def __init__(
        self,
        folder: Path,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
        registry: Path = SAMPLES / "two_cities.json",
    ) -> None:
        self.db = folder / "city.db"
        self.vault = folder / "city.vault"
        self.now_s = NOON_S
        if not self.db.exists():
            setup.init(self.db, AUDIENCE, False, [registry])
            load.add_test_keys(vault.create(self.vault, PASSPHRASE, test=True), SAMPLES / "test_keys.json")
        self.store = Store(self.db, factory)
        self.keys: Keyring = open_keys(self.vault, PASSPHRASE, production=False)
        self.intake = Intake(self.store, self.keys, lambda: 1000 * self.now_s)

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.store.reading() as db:
            return [tuple(row) for row in db.execute(query, arguments)]

    def states(self) -> list[tuple[str, str]]:
        """(state, reason) of the taps in the order of their arrival."""
        return self.rows("SELECT state, reason FROM txn ORDER BY id")

    def dump(self) -> list[str]:
        """Everything the database holds."""
        with self.store.reading() as db:
            return list(db.iterdump())


class Validator:
    """A device that journals and uploads. Its terminal is the one registered for its number."""

    def __init__(self, city: City, device_id: int = 1, epoch: int = 0x1A2B3C4D) -> None:
        self.city = city
        self.device_id = device_id
        self.epoch = epoch
        self.msg_seq = 0
        self.terminal = bytes.fromhex(f"9901000000{device_id:02d}")
        self.key = device_key(device_id)

    def upload(self, entries: list[bytes], events: list[bytes] = [], **changed: Any) -> bytes:  # noqa: B006
        """The envelope of the next message; `changed` fields of the upload, or key=, audience=, kid=."""
        self.msg_seq += 1
        fields = {
            "proto": sync.PROTO,
            "device_id": self.device_id,
            "epoch": self.epoch,
            "msg_seq": self.msg_seq,
            "sent_at_s": self.city.now_s,
            "clk_q": 3,
            "heap_free": 100_000,
            "versions": {},
            "records": entries,
            "events": events,
            "more": {},
        }
        key = changed.pop("key", self.key)
        aad = sync.upload_aad(changed.pop("audience", AUDIENCE))
        kid = changed.pop("kid", sync.kid(self.device_id))
        fields.update(changed)
        return cose.seal(sync.encode(sync.Upload(**fields)), kid, aad, lambda message: cose.hmac_sha256(key, message))

    def send(self, entries: list[bytes], events: list[bytes] = [], **changed: Any) -> "sync.Reply | sync.Refusal":  # noqa: B006
        """Upload and open the answer, whose MAC must be right."""
        return self.opened(self.city.intake.receive(self.upload(entries, events, **changed)))

    def ask(self, nonce: bytes = b"", **changed: Any) -> Any:
        """One question of the enrolment of this journal; the answer, whose MAC must be right."""
        answer = self.city.intake.enrol(self.question(nonce, **changed))
        kid, payload, tag = cose.unseal(answer.body)
        assert (answer.status, kid) == (200, sync.kid(self.device_id))
        cose.check(payload, tag, enrol.answer_aad(AUDIENCE), lambda message: cose.hmac_sha256(self.key, message))
        return enrol.open_answer(payload)

    def question(self, nonce: bytes = b"", **changed: Any) -> bytes:
        fields = {"proto": 1, "device_id": self.device_id, "epoch": self.epoch, "sent_at_s": 0, "last_seq": 0}
        request = enrol.Request(**{**fields, "nonce": nonce, **changed})
        aad = enrol.request_aad(AUDIENCE)
        return cose.seal(
            enrol.encode(request), sync.kid(self.device_id), aad, lambda message: cose.hmac_sha256(self.key, message)
        )

    def enrol(self) -> str:
        """Both questions; what the office says in the end."""
        return str(self.ask(self.ask().nonce).state)

    def opened(self, answer: Answer) -> "sync.Reply | sync.Refusal":
        kid, payload, tag = cose.unseal(answer.body)
        assert kid == sync.kid(self.device_id)
        cose.check(payload, tag, sync.reply_aad(AUDIENCE), lambda message: cose.hmac_sha256(self.key, message))
        return sync.open_answer(payload)

    def tap(self, seq: int, **changed: Any) -> bytes:
        """A tap of this validator; see `tap_entry`."""
        return tap_entry(seq, **{"terminal": self.terminal, "terminal_seq": 1000 + seq, **changed})


def post(city: City, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """One POST through the real application, without a socket."""

    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=app(city.intake, city.store))
        async with httpx.AsyncClient(transport=transport, base_url="https://" + AUDIENCE) as client:
            return await client.post(sync.PATH, content=body)

    return asyncio.run(exchange())


def tap_entry(seq: int, *, outcome: int = tap.SETTLED, issuer: str = "alder", number: int = 1, **changed: Any) -> bytes:
    """A tap on the wire. Card `number` of an issuer pays the flat fare of the sample table with a true TAC.

    outcome   SETTLED, PROVED, VOID, DISPUTED, GREY; the last two of VOID and GREY carry no TAC
    changed   fields of TAP_V1, or tac=
    """
    card = bytes.fromhex(f"{3100000000000000000 + number:020d}")
    fields: dict[str, Any] = {
        "kind": tap.TAP,
        "version": tap.VERSION,
        "seq": seq,
        "at_s": NOON_S - 3600 + seq,
        "clk_q": 3,
        "type": keys.PURCHASE,
        "industry": 2,
        "card": card,
        "issuer": ISSUERS[issuer],
        "city": bytes.fromhex("9901"),
        "card_kind": 1,
        "counter": 10 + seq,
        "balance_fen": 5000,
        "limit_fen": 0,
        "amount_fen": 200,
        "list_fen": 200,
        "discount_fen": 0,
        "terminal": bytes.fromhex("990100000001"),
        "terminal_seq": 1000 + seq,
        "key_index": 1,
        "key_version": 1,
        "algorithm": 0,
        "fare_id": 1,
        "fare_version": 1,
        "line": 12,
        "stop_in": 0,
        "stop_out": 0,
        "driver": 0,
        "vehicle": 0,
        **tap.FLAT,
    }
    tac = changed.pop("tac", None)
    fields.update(changed)
    if tac is None:
        tac = bytes(4) if outcome in (tap.VOID, tap.GREY) else true_tac(fields)
    mac2 = {tap.SETTLED: tap.MAC2_OK, tap.DISPUTED: tap.MAC2_WRONG}.get(outcome, tap.MAC2_UNCHECKED)
    return tap.to_wire(tap.TAP_V1.pack(**fields), tap.OUTCOME_V1.pack(code=outcome, mac2=mac2, sw=0, tac=tac))


def true_tac(fields: dict[str, Any]) -> bytes:
    """What the card would answer, by tunion's own reference."""
    suite = keys.suite(fields["algorithm"])
    key = keys.card_key(suite, MTK, fields["issuer"], fields["card"])
    message = keys.PURCHASE_TAC.pack(
        amount_fen=fields["amount_fen"],
        type=fields["type"],
        terminal=fields["terminal"],
        terminal_seq=fields["terminal_seq"],
        at=bcd.stamp(fields["at_s"]),
    )
    return suite.mac(suite.tac_key(key), message)


def event_entry(seq: int, code: int = tap.REFUSED, reason: int = 9, value: int = 0) -> bytes:
    return tap.to_wire(
        tap.EVENT_V1.pack(
            kind=tap.EVENT,
            version=tap.VERSION,
            seq=seq,
            at_s=NOON_S,
            clk_q=3,
            code=code,
            reason=reason,
            card=bytes(10),
            value=value,
            reserved=bytes(69),
        )
    )


def amend_entry(seq: int, of_seq: int, outcome: int, tac: bytes = bytes(4)) -> bytes:
    mac2 = tap.MAC2_UNCHECKED
    return tap.to_wire(
        tap.AMEND_V1.pack(
            kind=tap.AMEND,
            version=tap.VERSION,
            seq=seq,
            at_s=NOON_S,
            clk_q=3,
            of_seq=of_seq,
            outcome=tap.OUTCOME_V1.pack(code=outcome, mac2=mac2, sw=0, tac=tac),
            reserved=bytes(73),
        )
    )
