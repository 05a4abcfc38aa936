"""The key service over a token, with a vault beside it: the verdicts of the vectors, and who serves what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backoffice.keys import audit, token, token_keys, token_link, vault
from backoffice.keys.backend import COMPROMISED, KeyInfo, KeyPath, Lacks
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import BAD, NO_KEY, OK, UNAVAILABLE
from backoffice.keys.token import Token
from backoffice.keys.vault import KeyFile, MixedKeys, Vault, kcv
from backoffice.tests.forge import MTK
from backoffice.tests.softhsm import PIN, SO_PIN, SoftHsm, softhsm
from backoffice.tests.test_keys import VECTOR
from tunion.crypto import keys as portable

SM4_VECTOR = VECTOR._replace(algorithm=4)
DEVICE_KEY = bytes(range(32))


def info(key_id: str, algorithm: str, value: bytes, **fields: Any) -> KeyInfo:
    return KeyInfo(key_id, "tac", algorithm, "province", "", kcv(algorithm, value), **fields)


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    with softhsm(tmp_path / "hsm") as made:
        yield made


def opened(hsm: SoftHsm, strict: bool = False) -> Token:
    """The token of this folder by its file, made at the first call, with the TAC key of the vectors."""
    config, file = hsm.config(strict=strict), hsm.conf.with_name(f"token {strict}.json")
    token_link.write_config(file, config)
    if list(hsm.tokens.iterdir()):
        return token.open_token(file, PIN)
    token.init_token(config, SO_PIN, PIN, True)
    made = token.open_token(file, PIN)
    made.put(info("tac", "3DES", MTK), MTK)
    made.put(KeyInfo("device-7", "device", "HMAC", "device", "7", kcv("HMAC", DEVICE_KEY)), DEVICE_KEY)
    return made


@pytest.fixture
def second(tmp_path: Path) -> Vault:
    made = vault.create(tmp_path / "second.vault", KeyFile(bytes(32)), test=True)
    made.put(info("tac-sm4", "SM4", MTK), MTK)
    return made


def sm4_tac() -> bytes:
    suite = portable.suite(4)
    message = portable.PURCHASE_TAC.pack(
        amount_fen=VECTOR.amount_fen, type=VECTOR.type, terminal=VECTOR.terminal, terminal_seq=VECTOR.terminal_seq,
        at=bytes.fromhex("20250601071000"),
    )  # fmt: skip
    return suite.mac(suite.tac_key(portable.card_key(suite, MTK, VECTOR.issuer, VECTOR.card)), message)


def lines(keys: Keyring) -> list[dict[str, Any]]:
    keys.close()
    assert keys.audit is not None
    audit.verify(keys.audit.path)
    return audit.rows(keys.audit.path)


def test_3des_by_the_token_and_sm4_by_the_vault_beside_it(hsm: SoftHsm, second: Vault) -> None:
    keys = token_keys.served(opened(hsm), second, "test")
    requests = [
        VECTOR, VECTOR._replace(tac=bytes(4)), SM4_VECTOR._replace(tac=sm4_tac()), SM4_VECTOR,
        VECTOR._replace(version=9), VECTOR,
    ]  # fmt: skip
    assert keys.tac_verify_batch(requests) == [OK, BAD, OK, BAD, NO_KEY, OK]
    assert keys.device_mac(7, b"m") == token.Token(hsm.config(), PIN).hmac("device-7", b"m")


def test_what_is_lent_stands_in_the_audit(hsm: SoftHsm) -> None:
    keys = token_keys.served(opened(hsm), None, "test")
    assert keys.tac_verify_batch([VECTOR] * 3) == [OK] * 3
    lent = [line for line in lines(keys) if line["op"] == "lend"]
    assert [(line["keys"], line["count"], line["why"]) for line in lent] == [(["tac"], 3, "tac")]
    assert MTK.hex() not in (keys.audit.path.read_text().lower() if keys.audit else "")


def test_a_token_that_vanishes_makes_no_record_bad(hsm: SoftHsm, second: Vault) -> None:
    keys = token_keys.served(opened(hsm), second, "test")
    good_sm4 = SM4_VECTOR._replace(tac=sm4_tac())
    assert keys.tac_verify_batch([VECTOR, good_sm4]) == [OK, OK]
    away = hsm.tokens.rename(hsm.tokens.with_name("away"))
    assert keys.tac_verify_batch([VECTOR, good_sm4, VECTOR._replace(tac=bytes(4))]) == [UNAVAILABLE, OK, UNAVAILABLE]
    with pytest.raises(token_link.TokenGone):
        keys.device_mac(7, b"m")
    away.rename(hsm.tokens)
    assert keys.tac_verify_batch([VECTOR, VECTOR._replace(tac=bytes(4))]) == [OK, BAD]


def test_a_strict_token_leaves_tacs_to_the_vault_or_to_nobody(hsm: SoftHsm, second: Vault) -> None:
    opened(hsm)
    strict = opened(hsm, strict=True)
    alone = token_keys.served(strict, None, "test")
    assert alone.tac_verify_batch([VECTOR]) == [NO_KEY]
    path = alone.path("tac", "3DES", 1, VECTOR.issuer, VECTOR.card[2:])
    with pytest.raises(Lacks, match="strict"):
        alone.tac(path, b"message")
    second.put(info("tac", "3DES", MTK), MTK)
    keys = token_keys.served(strict, second, "test")
    assert keys.tac_verify_batch([VECTOR]) == [OK]
    assert strict.lent == 0
    assert any(line["op"] == "lacks" and "strict" in line["why"] for line in lines(keys))


def test_a_psams_key_is_wrapped_inside_and_a_token_without_the_level_above_says_so(hsm: SoftHsm) -> None:
    backend = opened(hsm)
    backend.make(KeyInfo("purchase", "purchase", "3DES", "province", "", ""))
    backend.make(KeyInfo("transport", "transport", "AES", "chip", "", ""))
    keys = token_keys.served(backend, None, "test")
    transport = keys.path("transport", "AES", 1, b"", bytes(8))
    assert len(keys.wrap(transport, keys.path("purchase", "3DES", 1, VECTOR.issuer))) == 24
    with pytest.raises(Lacks, match="keep the level above"):
        keys.wrap(transport, KeyPath("purchase"))
    assert backend.lent == 0


def test_test_keys_and_production_never_meet(hsm: SoftHsm, second: Vault, tmp_path: Path) -> None:
    backend = opened(hsm)
    assert token_keys.open_keys(backend, second, production=False).test
    with pytest.raises(MixedKeys, match="token"):
        token_keys.open_keys(backend, None, production=True)
    real = vault.create(tmp_path / "real.vault", KeyFile(bytes(32)), test=False)
    with pytest.raises(MixedKeys, match="vault"):
        token_keys.open_keys(backend, real, production=False)


def test_a_key_that_another_program_marks_as_lost_stops_here_too(hsm: SoftHsm) -> None:
    running = opened(hsm)
    keys = token_keys.served(running, None, "test")
    assert keys.tac_verify_batch([VECTOR]) == [OK]
    other = token.open_token(running.file, PIN)
    other.change(other.info("tac")._replace(state=COMPROMISED, compromised_s=VECTOR.at_s))
    assert keys.tac_verify_batch([VECTOR]) == [NO_KEY]


def test_another_token_of_the_same_name_does_not_take_its_place(hsm: SoftHsm) -> None:
    """Production runs, and somebody puts a token of test keys into the slot."""
    file = hsm.conf.with_name("production.json")
    token_link.write_config(file, hsm.config())
    token.init_token(hsm.config(), SO_PIN, PIN, False)
    running = token.open_token(file, PIN)
    running.make(KeyInfo("tac", "tac", "3DES", "province", "", ""))
    keys = token_keys.open_keys(running, None, production=True)
    assert keys.tac_verify_batch([VECTOR]) == [BAD]
    away = hsm.tokens.rename(hsm.tokens.with_name("away"))
    assert keys.tac_verify_batch([VECTOR]) == [UNAVAILABLE]
    hsm.tokens.mkdir()
    hsm.forget()
    token.init_token(hsm.config(), SO_PIN, PIN, True)
    hsm.open().put(info("tac", "3DES", MTK), MTK)
    assert keys.tac_verify_batch([VECTOR]) == [UNAVAILABLE]
    with pytest.raises(token_link.TokenGone, match="another token"):
        running.infos()
    assert not running.test
    hsm.tokens.rename(hsm.tokens.with_name("test"))
    away.rename(hsm.tokens)
    hsm.forget()
    assert keys.tac_verify_batch([VECTOR]) == [BAD]
