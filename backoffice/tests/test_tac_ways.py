"""One question, three ways: with the native library, without it, and row by row. The key service answers alike."""

import random
import subprocess
import sys
from pathlib import Path

from backoffice.keys import load, native, soft, vault
from backoffice.keys.backend import COMPROMISED
from backoffice.keys.keyring import Keyring
from backoffice.keys.native import build
from backoffice.keys.service import ROW_VERDICTS, TacRequest
from backoffice.keys.vault import KeyInfo
from backoffice.tests.forge import PASSPHRASE, SAMPLES, true_tac
from tunion.crypto import keys

OK, BAD, NO_KEY, _ = range(4)
REGIONAL = random.Random(1).randbytes(16)
LOST_S = 1_750_000_000  # since then the key of version 2 is known to others
LOST = random.Random(2).randbytes(16)

WITHOUT = """
import sys
from pathlib import Path
from backoffice.keys import native, soft
native.build.LIBRARY = Path(sys.argv[1]) / "none.so"
keys = soft.open_keys(Path(sys.argv[1]) / "test.vault", sys.argv[2].encode(), production=False)
sys.stdout.buffer.write(keys.tac_verify_rows(sys.stdin.buffer.read()))
"""


def made(folder: Path) -> Keyring:
    """The sample keys, one of a regional product, and one that is compromised."""
    opened = vault.create(folder / "test.vault", PASSPHRASE, test=True)
    load.add_test_keys(opened, SAMPLES / "test_keys.json")
    issuer = "0102030405060708"
    opened.add(KeyInfo("of 1", "tac", "3DES", "issuer", f"1:{issuer}", vault.kcv("3DES", REGIONAL)), REGIONAL)
    lost = KeyInfo("lost", "tac", "3DES", "province", "", vault.kcv("3DES", LOST), version=2)
    opened.add(lost._replace(state=COMPROMISED, compromised_s=LOST_S), LOST)
    opened.save()
    return soft.open_keys(folder / "test.vault", PASSPHRASE, production=False)


def purchases(count: int) -> tuple[list[TacRequest], bytes]:
    """Of all kinds, in no order, and what is to be said of each."""
    chance = random.Random(20251201)
    requests, expected = [], []
    for _ in range(count):
        kind = chance.choice(("3DES", "3DES", "3DES", "SM4", "regional", "lost", "stranger", "no such algorithm"))
        request = TacRequest(
            issuer=bytes(range(1, 9)) if kind == "regional" else chance.choice((b"issuer A", b"issuer B")),
            card=chance.randbytes(10),
            algorithm={"SM4": 4, "no such algorithm": 7}.get(kind, 0),
            amount_fen=chance.randrange(1 << 32),
            type=chance.choice((6, 9)),
            terminal=chance.randbytes(6),
            terminal_seq=chance.randrange(1 << 32),
            at_s=chance.randrange(LOST_S - 1000, LOST_S + 1000),
            tac=bytes(4),
            product={"regional": 1, "stranger": 2}.get(kind, 0),
            version=2 if kind == "lost" else 1,
        )
        if kind in ("3DES", "SM4"):
            tac = true_tac(request._asdict())
        elif kind == "no such algorithm":
            tac = bytes(4)
        else:
            issuer_key = LOST if kind == "lost" else REGIONAL
            suite = keys.suite(0)
            if kind == "lost":
                issuer_key = suite.diversify(issuer_key, request.issuer)
            message = native.pack_rows([request], None)[20:42]
            tac = suite.mac(suite.tac_key(suite.diversify(issuer_key, request.card[2:])), message)
        true = chance.random() < 0.7
        requests.append(request._replace(tac=tac if true else bytes((tac[0] ^ 1,)) + tac[1:]))
        no_key = kind in ("stranger", "no such algorithm") or (kind == "lost" and request.at_s >= LOST_S)
        expected.append(NO_KEY if no_key else OK if true else BAD)
    return requests, bytes(expected)


def test_all_ways_give_the_same_verdicts(tmp_path: Path) -> None:
    service = made(tmp_path)
    requests, expected = purchases(1200)
    rows = native.pack_rows(requests, None)
    if native.load() is not None:
        assert service.tac_verify_rows(rows) == expected
    assert service.tac_verify_batch(requests) == [ROW_VERDICTS[code] for code in expected]
    for request, code in list(zip(requests, expected, strict=True))[:50]:
        assert service.tac_verify_batch([request]) == [ROW_VERDICTS[code]]
    without = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path), PASSPHRASE.decode()], input=rows, cwd=build.ROOT,
        capture_output=True,
    )  # fmt: skip
    assert without.returncode == 0, without.stderr.decode()
    assert without.stdout == expected
    assert b"TAC verdicts go the slow way" in without.stderr
