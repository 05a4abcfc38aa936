"""tac.verify: TAC verdicts a second on one core, against OpenSSL's own 3DES blocks a second on that core.

One verdict is two 3DES blocks under the issuer's key and three DES blocks under a key that no other card has.

    tac.verify            the native code, 100 000 rows a call     .pack      requests into rows, alone
              .5000       5 000 rows a call                        .service   the key service, audited and metered
              .portable   128 lanes, as without AVX2               .requests  the same on 5 000 TacRequests
                                                                   .plain     two OpenSSL calls a TAC

Ours and OpenSSL's are measured in turns, one thread on one core; the best of ROUNDS counts for each, as another process
can only take time away.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from backoffice.keys import native, soft, vault
from backoffice.keys.keyring import Keyring
from backoffice.keys.native import PORTABLE, Native
from backoffice.keys.service import BATCH_MAX, OK, TAC_ROW, TacRequest
from backoffice.keys.suites import SUITES
from simulator.personalise import TEST_MASTERS
from tools.bench import Figure
from tools.paths import NotSetUp
from tunion import bcd
from tunion.crypto.keys import PURCHASE, PURCHASE_TAC, card_factor

ROUNDS = 9
ROWS = 100_000
BUFFER_BYTES = 1 << 20  # OpenSSL is asked for this much at once
PLAIN_CARDS = 500  # of the paths that take tens of microseconds
SEED = 978
ISSUERS = [bytes.fromhex(f"0402{city}FFFFFFFF") for city in ("6110", "6140", "1000", "2900", "5840")]
PASSPHRASE = b"bench"
OPENSSL = "OpenSSL, 3DES blocks"

Work = Callable[[], int]  # does it, and says how many


def tac_verify() -> Iterator[Figure]:
    """Verdicts a second. Every one must be `ok`."""
    library = native.load()
    if library is None:
        raise NotSetUp(native.state())
    requests = true_requests(ROWS)
    many = native.pack_rows(requests, library)
    batches = [many[at : at + BATCH_MAX * TAC_ROW.size] for at in range(0, len(many), BATCH_MAX * TAC_ROW.size)]
    few = requests[:BATCH_MAX]
    with tempfile.TemporaryDirectory() as folder, _one_core():
        keys = _keys(Path(folder) / "vault")
        works: dict[str, Work] = {
            "": lambda: _verify(library, many),
            ".5000": lambda: sum(_verify(library, rows) for rows in batches),
            ".portable": lambda: _verify(library, many, PORTABLE),
            ".pack": lambda: len(native.pack_rows(few, library)) // TAC_ROW.size,
            ".service": lambda: _none_bad(keys.tac_verify_rows(many)),
            ".requests": lambda: _require_ok(keys.tac_verify_batch(few)),
            ".plain": lambda: _plain(requests[:PLAIN_CARDS]),
        }
        best, openssl = _best(works)
    for name, rate in best.items():
        goal = 0.5 if name in ("", ".5000", ".service") else None
        yield Figure(f"tac.verify{name}", rate, "1/s", OPENSSL, openssl, goal, at_least=True)


def _best(works: dict[str, Work]) -> tuple[dict[str, float], float]:
    """How many of each a second, and of OpenSSL's blocks."""
    cipher = Cipher(TripleDES(random.Random(SEED).randbytes(24)), modes.ECB()).encryptor()
    buffer = bytes(BUFFER_BYTES)
    best = dict.fromkeys(works, 0.0)
    openssl = 0.0
    for _ in range(ROUNDS):
        openssl = max(openssl, _rate(lambda: len(cipher.update(buffer)) // 8))
        for name, work in works.items():
            best[name] = max(best[name], _rate(work))
    return best, openssl


def _rate(work: Work) -> float:
    started_s = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - started_s)


@contextmanager
def _one_core() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@cache
def _issuer_key(issuer: bytes) -> bytes:
    return SUITES["3DES"].diversify(TEST_MASTERS.tac, issuer)


def _verify(library: Native, rows: bytes, variant: str = "") -> int:
    return _none_bad(library.verify_rows(rows, lambda tag: _issuer_key(tag.issuer), bytes, variant))


def _none_bad(verdicts: bytes) -> int:
    if any(verdicts):
        raise AssertionError("a good TAC is doubted")
    return len(verdicts)


def _plain(requests: list[TacRequest]) -> int:
    """One OpenSSL call after another, as every verdict was made before."""
    for request in requests:
        if _tac(request) != request.tac:
            raise AssertionError("a good TAC is doubted")
    return len(requests)


def _require_ok(verdicts: list[str]) -> int:
    if set(verdicts) != {OK}:
        raise AssertionError("the key service doubts a good TAC")
    return len(verdicts)


def _keys(path: Path) -> Keyring:
    vault.create(path, PASSPHRASE, True)
    opened = vault.open_vault(path, PASSPHRASE)
    info = vault.KeyInfo("tac-root", "tac", "3DES", "province", "", vault.kcv("3DES", TEST_MASTERS.tac))
    opened.add(info, TEST_MASTERS.tac)
    return soft.served(opened, "bench")


def true_requests(count: int) -> list[TacRequest]:
    """True purchases of as many cards, of a few issuers in no order."""
    chance = random.Random(SEED)
    made = []
    for _ in range(count):
        unproven = TacRequest(
            issuer=chance.choice(ISSUERS),
            card=bcd.from_digits(f"03104840{chance.randrange(10**12):012d}"),
            algorithm=0,
            amount_fen=chance.randrange(1, 2000),
            type=PURCHASE,
            terminal=bytes.fromhex("611000000042"),
            terminal_seq=chance.randrange(1 << 32),
            at_s=chance.randrange(1_700_000_000, 1_800_000_000),
            tac=bytes(4),
        )
        made.append(unproven._replace(tac=_tac(unproven)))
    return made


def _tac(request: TacRequest) -> bytes:
    suite = SUITES["3DES"]
    key = suite.diversify(_issuer_key(request.issuer), card_factor(request.card))
    message = PURCHASE_TAC.pack(
        amount_fen=request.amount_fen,
        type=request.type,
        terminal=request.terminal,
        terminal_seq=request.terminal_seq,
        at=bcd.stamp(request.at_s),
    )
    return suite.tac(key, message)
