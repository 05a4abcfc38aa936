"""tac.verify: what one TAC costs the key service, against the portable core on the same interpreter."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backoffice.keys import vault
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import OK, TacRequest
from simulator.personalise import TEST_MASTERS
from tools.bench import Figure
from tunion import bcd
from tunion.crypto.keys import PURCHASE, PURCHASE_TAC, card_key, suite

CARDS = 1000
SEED = 978
ISSUER = bytes.fromhex("04026110FFFFFFFF")
PASSPHRASE = b"bench"


def tac_verify() -> Iterator[Figure]:
    """Microseconds a TAC, derivation from the issuer's key included. Every verdict must be `ok`."""
    requests = [_request(random.Random(SEED + number)) for number in range(CARDS)]
    with tempfile.TemporaryDirectory() as folder:
        keys = _keys(Path(folder) / "vault")
        service_us = _each_us(lambda: _require_ok(keys.tac_verify_batch(requests)))
    core_us = _each_us(lambda: [_tac(request) for request in requests])
    yield Figure("tac.verify", service_us, "us", "tunion on CPython, from the root key", core_us)


def _keys(path: Path) -> Keyring:
    vault.create(path, PASSPHRASE, True)
    opened = vault.open_vault(path, PASSPHRASE)
    info = vault.KeyInfo("tac-root", "tac", "3DES", "province", "", vault.kcv("3DES", TEST_MASTERS.tac))
    opened.add(info, TEST_MASTERS.tac)
    return Keyring(opened)


def _request(chance: random.Random) -> TacRequest:
    unproven = TacRequest(
        issuer=ISSUER,
        card=bcd.from_digits(f"03104840{chance.randrange(10**12):012d}"),
        algorithm=0,
        amount_fen=chance.randrange(1, 2000),
        type=PURCHASE,
        terminal=bytes.fromhex("611000000042"),
        terminal_seq=chance.randrange(1 << 32),
        at_s=chance.randrange(1_700_000_000, 1_800_000_000),
        tac=bytes(4),
    )
    return unproven._replace(tac=_tac(unproven))


def _tac(request: TacRequest) -> bytes:
    """As the card makes it."""
    ciphers = suite(request.algorithm)
    key = ciphers.tac_key(card_key(ciphers, TEST_MASTERS.tac, request.issuer, request.card))
    message = PURCHASE_TAC.pack(
        amount_fen=request.amount_fen,
        type=request.type,
        terminal=request.terminal,
        terminal_seq=request.terminal_seq,
        at=bcd.stamp(request.at_s),
    )
    return ciphers.mac(key, message)


def _require_ok(verdicts: list[str]) -> None:
    if set(verdicts) != {OK}:
        raise AssertionError("the key service doubts a good TAC")


def _each_us(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - started_s) / CARDS
