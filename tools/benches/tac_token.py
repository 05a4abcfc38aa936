"""tac.pkcs11: one TAC verdict by a PKCS#11 token, here SoftHSM2, against the vault's on the same core.

    tac.pkcs11          asked for one at a time            .mac   a MAC1 under a card's key, all of it inside the token,
              .batch    5 000 in a call, each              against the vault's

The key service without audit and meter, which cost both the same. A hardware token has other figures: run it there.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from backoffice.keys import token, vault
from backoffice.keys.backend import Backend, KeyInfo
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import BATCH_MAX, OK, TacRequest
from backoffice.keys.token_link import Config
from simulator.personalise import TEST_MASTERS
from tools.bench import Figure
from tools.benches.tac import true_requests
from tools.keys_token import MODULE
from tools.paths import NotSetUp
from tunion.crypto.keys import card_factor

SINGLES = 300
BATCHES = 3
PIN = "246810"
VAULT = "the vault's, on the same core"


def tac_pkcs11() -> Iterator[Figure]:
    """Microseconds each. Every verdict must be `ok`."""
    if not Path(MODULE).is_file():
        raise NotSetUp("SoftHSM2 is not installed: run make setup")
    requests = true_requests(BATCH_MAX)
    with tempfile.TemporaryDirectory() as folder, _softhsm(Path(folder)) as in_token:
        in_vault = vault.create(Path(folder) / "vault", b"bench", test=True)
        served = [_served(backend) for backend in (in_token, in_vault)]
        singles = [_single_us(partial(_one_ok, keys), requests) for keys in served]
        macs = [_single_us(partial(_mac1, keys), requests) for keys in served]
        batches = [_batch_us(keys, requests) for keys in served]
    for name, (ours, reference) in (("", singles), (".batch", batches), (".mac", macs)):
        yield Figure(f"tac.pkcs11{name}", ours, "us", VAULT, reference)


@contextmanager
def _softhsm(folder: Path) -> Iterator[token.Token]:
    """A token in this folder. The module reads its settings once, from the environment."""
    tokens, settings = folder / "tokens", folder / "softhsm2.conf"
    tokens.mkdir()
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n", encoding="utf-8")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    config = Config(MODULE, "bench")
    token.init_token(config, PIN, PIN, test=True)
    opened = token.Token(config, PIN)
    try:
        yield opened
    finally:
        opened.close()


def _served(backend: Backend) -> Keyring:
    for purpose, value in (("tac", TEST_MASTERS.tac), ("purchase", TEST_MASTERS.purchase)):
        info = KeyInfo(purpose, purpose, "3DES", "province", "", vault.kcv("3DES", value))
        backend.put(info, value)
    return Keyring(backend)


def _all_ok(keys: Keyring, requests: list[TacRequest]) -> None:
    if set(keys.tac_verify_batch(requests)) != {OK}:
        raise AssertionError("a good TAC is doubted")


def _one_ok(keys: Keyring, request: TacRequest) -> None:
    _all_ok(keys, [request])


def _mac1(keys: Keyring, request: TacRequest) -> None:
    path = keys.path("purchase", "3DES", 1, request.issuer, card_factor(request.card))
    keys.session_mac(path, request.card[2:], request.terminal)


def _single_us(call: Callable[[TacRequest], None], requests: list[TacRequest]) -> float:
    """The median of SINGLES."""
    return statistics.median(_us(partial(call, request)) for request in requests[:SINGLES])


def _batch_us(keys: Keyring, requests: list[TacRequest]) -> float:
    return min(_us(lambda: _all_ok(keys, requests)) for _ in range(BATCHES)) / len(requests)


def _us(work: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - started_s)
