"""The vault and its verdicts: right against tunion's own formulas, closed to everything else."""

import json
import random
import secrets
from pathlib import Path
from typing import Any

import pytest

from backoffice.keys import load, soft, vault
from backoffice.keys.keyring import Keyring
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.keys.service import BAD, BATCH_MAX, NO_KEY, OK, NoKey, TacRequest
from backoffice.keys.suites import SUITES
from backoffice.keys.vault import KeyFile, KeyInfo, MixedKeys, Tampered, VaultError, WrongPassphrase
from backoffice.tests.forge import MTK, PASSPHRASE, SAMPLES, true_tac
from tunion import bcd
from tunion.cose import hmac_sha256
from tunion.crypto import keys

VECTOR = TacRequest(  # plain purchase of the card vectors
    issuer=bytes.fromhex("04026110FFFFFFFF"),
    card=bytes.fromhex("03104999000000000017"),
    algorithm=0,
    amount_fen=200,
    type=6,
    terminal=bytes.fromhex("611000000042"),
    terminal_seq=0x64,
    at_s=bcd.at_s(bytes.fromhex("20250601071000")),
    tac=bytes.fromhex("624A5580"),
)


def info(key_id: str, key: bytes, algorithm: str = "3DES", level: str = "province", subject: str = "") -> KeyInfo:
    purpose = "device" if algorithm == "HMAC" else "tac"
    return KeyInfo(key_id, purpose, algorithm, level, subject, vault.kcv(algorithm, key))


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "test.vault"
    load.add_test_keys(vault.create(path, PASSPHRASE, test=True), SAMPLES / "test_keys.json")
    return path


def opened(path: Path) -> Keyring:
    return soft.open_keys(path, PASSPHRASE, production=False)


def test_the_tac_of_the_card_vectors_is_ok(sample: Path) -> None:
    assert opened(sample).tac_verify_batch([VECTOR]) == [OK]


def test_verdicts_agree_with_tunion_on_random_purchases(sample: Path) -> None:
    """Each purchase with the TAC tunion makes, then with one bit of one field changed."""
    chance = random.Random(20250601)
    requests, expected = [], []
    for _ in range(1500):
        request = TacRequest(
            issuer=chance.randbytes(8),
            card=chance.randbytes(10),
            algorithm=chance.choice((0, 4)),
            amount_fen=chance.randrange(1 << 32),
            type=chance.choice((6, 9)),
            terminal=chance.randbytes(6),
            terminal_seq=chance.randrange(1 << 32),
            at_s=chance.randrange(1 << 32),
            tac=b"",
        )
        request = request._replace(tac=true_tac(request._asdict()))
        requests += [request, _one_bit_off(request, chance)]
        expected += [OK, BAD]

    assert opened(sample).tac_verify_batch(requests) == expected


def _one_bit_off(request: TacRequest, chance: random.Random) -> TacRequest:
    field = chance.choice(("issuer", "card", "amount_fen", "terminal", "terminal_seq", "tac"))
    value: Any = getattr(request, field)
    if isinstance(value, int):
        changed: Any = value ^ 1 << chance.randrange(32)
    else:
        unused_bits = 16 if field == "card" else 0  # the first 2 of its 10 bytes are no factor
        flipped = int.from_bytes(value, "big") ^ 1 << chance.randrange(8 * len(value) - unused_bits)
        changed = flipped.to_bytes(len(value), "big")
    return request._replace(**{field: changed})


def test_the_library_ciphers_are_tunions(sample: Path) -> None:
    for number, name in ((0, "3DES"), (4, "SM4")):
        for _ in range(200):
            key, factor, message = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(22)
            ours = keys.suite(number)
            assert SUITES[name].diversify(key, factor) == ours.diversify(key, factor)
            assert SUITES[name].tac(key, message) == ours.mac(ours.tac_key(key), message)


def test_an_issuers_own_key_goes_before_its_root_and_that_before_the_root_of_all(tmp_path: Path) -> None:
    issuer = VECTOR.issuer.hex().upper()
    right = keys.suite(0).diversify(MTK, VECTOR.issuer)
    wrong = bytes(range(16))
    ladder = [
        ([info("all", MTK)], [MTK], OK),
        ([info("all", wrong), info("own root", MTK, subject=issuer)], [wrong, MTK], OK),
        (
            [info("own root", wrong, subject=issuer), info("own", right, level="issuer", subject=issuer)],
            [wrong, right],
            OK,
        ),
        ([info("other", MTK, subject="04026111FFFFFFFF")], [MTK], NO_KEY),
        ([info("all", wrong)], [wrong], BAD),
    ]
    for number, (infos, values, verdict) in enumerate(ladder):
        made = vault.create(tmp_path / f"{number}.vault", PASSPHRASE, test=True)
        for one, key in zip(infos, values, strict=True):
            made.add(one, key)
        made.save()
        assert opened(made.path).tac_verify_batch([VECTOR]) == [verdict]


def test_an_algorithm_that_nobody_described_has_no_key(sample: Path) -> None:
    assert opened(sample).tac_verify_batch([VECTOR._replace(algorithm=1)]) == [NO_KEY]


def test_a_batch_has_a_limit(sample: Path) -> None:
    service = opened(sample)
    assert len(service.tac_verify_batch([VECTOR] * BATCH_MAX)) == BATCH_MAX
    with pytest.raises(ValueError):
        service.tac_verify_batch([VECTOR] * (BATCH_MAX + 1))


def test_a_device_mac_is_tunions_hmac_and_an_unknown_device_has_none(sample: Path) -> None:
    key = bytes.fromhex(json.loads((SAMPLES / "test_keys.json").read_text())["keys"][2]["value"])
    assert opened(sample).device_mac(1, b"message") == hmac_sha256(key, b"message")
    with pytest.raises(NoKey):
        opened(sample).device_mac(3, b"message")


def test_a_wrong_passphrase_opens_nothing(sample: Path) -> None:
    with pytest.raises(WrongPassphrase):
        vault.open_vault(sample, b"another")


def swapped(text: bytes, first: bytes, second: bytes) -> bytes:
    return text.replace(first, b"\0").replace(second, first).replace(b"\0", second)


CHANGES: dict[str, Any] = {
    "a key taken out": lambda text: b"".join(line for line in text.splitlines(True) if b"device-1" not in line),
    "two keys swapped": lambda text: swapped(text, b'"device-1"', b'"device-2"'),
    "a name": lambda text: text.replace(b"device-1", b"device-3"),
    "a state": lambda text: text.replace(b'"active"', b'"retired"', 1),
    "test keys called production keys": lambda text: text.replace(b"true", b"false", 1),
    "the seal": lambda text: text[:-65] + b"0" * 64 + b"\n",
    "no seal": lambda text: text[:-65],
    "no salt": lambda text: text.replace(b'"salt"', b'"salz"'),
    "something behind it": lambda text: text + b"\n",
    "a version to come": lambda text: text.replace(b'"version": 2', b'"version": 3'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_vault_is_refused_whole(name: str, sample: Path) -> None:
    whole = sample.read_bytes()
    sample.write_bytes(CHANGES[name](whole))
    assert sample.read_bytes() != whole

    with pytest.raises(Tampered):
        vault.open_vault(sample, PASSPHRASE)


def test_any_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    path, secret = tmp_path / "small.vault", KeyFile(bytes(range(32)))
    load.add_test_keys(vault.create(path, secret, test=True), SAMPLES / "test_keys.json")
    whole = path.read_bytes()
    refused: dict[type, int] = {}
    for at in range(len(whole)):
        for flip in (0x01, 0x20, 0x80):
            path.write_bytes(whole[:at] + bytes((whole[at] ^ flip,)) + whole[at + 1 :])
            with pytest.raises((Tampered, WrongPassphrase)) as refusal:
                vault.open_vault(path, secret)
            refused[refusal.type] = refused.get(refusal.type, 0) + 1
    assert refused[Tampered] > 5 * refused[WrongPassphrase]  # the latter: salt, check and what opens it
    path.write_bytes(whole)
    assert len(vault.open_vault(path, secret).infos()) == 4


def test_a_vault_of_version_1_opens_and_is_written_as_2(tmp_path: Path) -> None:
    path = tmp_path / "old.vault"
    path.write_bytes((Path(__file__).parent / "vault_1.json").read_bytes())
    old = vault.open_vault(path, PASSPHRASE)
    assert {info.level for info in old.infos()} == {"province", "device"}
    assert Keyring(old).tac_verify_batch([VECTOR]) == [OK]
    old.save()

    assert b'"version": 2' in path.read_bytes()
    again = vault.open_vault(path, PASSPHRASE)
    assert again.infos() == old.infos()
    assert opened(path).tac_verify_batch([VECTOR]) == [OK]


def test_a_vault_of_version_1_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.vault"
    content = json.loads((Path(__file__).parent / "vault_1.json").read_text())
    for field, value in (("keys", content["keys"][1:]), ("seal", "é"), ("salt", None)):
        content[field] = value
        path.write_text(json.dumps(content))
        with pytest.raises(Tampered):
            vault.open_vault(path, PASSPHRASE)


@pytest.mark.parametrize("cut", [0, 1, 300])
def test_a_vault_cut_short_is_refused(cut: int, sample: Path) -> None:
    sample.write_bytes(sample.read_bytes()[:cut])
    with pytest.raises(Tampered):
        vault.open_vault(sample, PASSPHRASE)


def test_a_vault_holds_no_key_in_clear_and_only_its_owner_may_read_it(sample: Path) -> None:
    text = sample.read_text().upper()
    for row in json.loads((SAMPLES / "test_keys.json").read_text())["keys"]:
        assert row["value"] not in text
    assert sample.stat().st_mode & 0o777 == 0o600


def test_a_save_that_fails_leaves_the_vault_as_it_was(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sample.read_bytes()
    changed = vault.open_vault(sample, PASSPHRASE)
    key = secrets.token_bytes(16)
    changed.add(info("new", key, subject="04026110FFFFFFFF"), key)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError):
        changed.save()

    assert sample.read_bytes() == before
    assert [path.name for path in sample.parent.iterdir()] == [sample.name]


def test_a_key_comes_in_only_with_its_check_value_and_shape(sample: Path) -> None:
    made = vault.open_vault(sample, PASSPHRASE)
    key = secrets.token_bytes(16)
    good = info("new", key)
    for bad, value in (
        (good._replace(kcv="000000"), key),
        (good, key[:8]),
        (good._replace(purpose="control"), key),
        (good._replace(state="asleep"), key),
        (good._replace(version=256), key),
        (good._replace(level="card"), key),
        (good._replace(subject="0402"), key),
        (good._replace(key_id="tac-root"), key),
        (info("dev", bytes(32), "HMAC", "device", "seven"), bytes(32)),
    ):
        with pytest.raises(VaultError) as refusal:
            made.add(bad, value)
        assert key.hex() not in str(refusal.value).lower()
    assert len(made.infos()) == 4


def test_test_keys_and_production_never_meet(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(MixedKeys):
        soft.open_keys(sample, PASSPHRASE, production=True)
    real = vault.create(tmp_path / "real.vault", PASSPHRASE, test=False)
    with pytest.raises(MixedKeys):
        soft.open_keys(real.path, PASSPHRASE, production=False)
    with pytest.raises(MixedKeys):
        load.add_test_keys(real, SAMPLES / "test_keys.json")
    with pytest.raises(MixedKeys, match="820638"):  # the KCV, never the key
        real.add(info("tac-root", MTK), MTK)
    device = bytes.fromhex(json.loads((SAMPLES / "test_keys.json").read_text())["keys"][2]["value"])
    with pytest.raises(MixedKeys, match="samples"):
        real.add(info("device-1", device, "HMAC", "device", "1"), device)
    unmarked = tmp_path / "unmarked.json"
    unmarked.write_text(json.dumps({"keys": []}))
    with pytest.raises(MixedKeys):
        load.add_test_keys(vault.open_vault(sample, PASSPHRASE), unmarked)


def test_the_known_test_keys_are_those_of_the_vectors() -> None:
    vendors, twice = bytes(range(0x40, 0x50)), bytes.fromhex("0123456789ABCDEF") * 2
    common = [bytes(16), b"\xff" * 16, twice, vendors]
    published = {"3DES": [MTK, *common], "SM4": [MTK, *common], "AES": common, "HMAC": [bytes(32)]}
    for row in json.loads((SAMPLES / "test_keys.json").read_text())["keys"]:
        published[row["algorithm"]].append(bytes.fromhex(row["value"]))
    for algorithm, values in published.items():
        for key in values:
            assert vault.kcv(algorithm, key) in KNOWN_TEST_KCVS[algorithm]
