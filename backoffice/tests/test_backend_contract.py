"""Every backend of keys gives the bytes of the formulas and refuses alike: the vault, and a token."""

import hmac
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.keys import schemes, signing, vault
from backoffice.keys.backend import ACTIVE, DESTROYED, RETIRED, VERIFY_ONLY, KeyInfo, KeyPath, KeysError, Lacks
from backoffice.tests.softhsm import softhsm
from tunion.crypto import keys as portable
from tunion.crypto.mac import maintenance_mac

SEED = secrets.randbelow(1 << 32)  # printed where a test fails
CHANCE = random.Random(SEED)
ISSUER = "04026110FFFFFFFF"

SUITE = portable.suite(0)
FEW = settings(max_examples=25, deadline=None)
factors = st.binary(min_size=8, max_size=8)
messages = st.binary(max_size=70)

VALUES = {  # purpose, algorithm, level, subject, value
    "purchase": ("purchase", "3DES", "province", "", CHANCE.randbytes(16)),
    "tac": ("tac", "3DES", "issuer", ISSUER, CHANCE.randbytes(16)),
    "maintenance": ("maintenance", "3DES", "issuer", ISSUER, CHANCE.randbytes(16)),
    "control-3des": ("control", "3DES", "chip", "", CHANCE.randbytes(16)),
    "control-aes": ("control", "AES", "chip", "", CHANCE.randbytes(16)),
    "transport-aes": ("transport", "AES", "chip", "lot 1", CHANCE.randbytes(16)),
    "device-7": ("device", "HMAC", "device", "7", CHANCE.randbytes(32)),
    "params": ("params", "ES256", "sign", "", signing.new()),
}


def info_of(key_id: str, row: tuple[str, str, str, str, bytes]) -> KeyInfo:
    purpose, algorithm, level, subject, value = row
    return KeyInfo(key_id, purpose, algorithm, level, subject, vault.kcv(algorithm, value))


def filled(backend: Any) -> Any:
    for key_id, row in VALUES.items():
        backend.put(info_of(key_id, row), row[-1])
    return backend


BACKENDS = ("vault", "token")


@pytest.fixture(scope="module", params=BACKENDS)
def make_backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that makes an empty one, for test keys or for production."""
    folder = tmp_path_factory.mktemp(request.param)
    count = iter(range(1000))
    print(f"seed {SEED}")
    with softhsm(folder) as hsm:
        if request.param == "token":
            yield lambda test=True: hsm.make(f"token {next(count)}", test)
        else:
            yield lambda test=True: vault.create(folder / f"{next(count)}.vault", b"contract", test)


@pytest.fixture(scope="module")
def kept(make_backend: Any) -> Any:
    return filled(make_backend())


def at(key_id: str, *below: bytes) -> bytes:
    """The value at a path, by the portable formulas."""
    value = VALUES[key_id][-1]
    for factor in below:
        aes = VALUES[key_id][1] == "AES"
        value = schemes.diversify_aes(value, factor) if aes else SUITE.diversify(value, factor)
    return value


@FEW
@given(factors, factors, factors, messages)
def test_purchases(kept: Any, issuer: bytes, card: bytes, block: bytes, message: bytes) -> None:
    for below in ((), (issuer,), (issuer, card)):
        path, value = KeyPath("purchase", below), at("purchase", *below)
        assert kept.kcv(path) == vault.kcv("3DES", value)
        session = SUITE.session_key(value, block)
        assert kept.session_mac(path, block, message) == SUITE.mac(session, message)


@FEW
@given(st.lists(st.tuples(factors, messages), max_size=12))
def test_tacs(kept: Any, rows: list[tuple[bytes, bytes]]) -> None:
    cards, texts = [row[0] for row in rows], [row[1] for row in rows]
    expected = [SUITE.mac(SUITE.tac_key(at("tac", card)), text) for card, text in rows]
    assert kept.tacs(KeyPath("tac"), cards, texts) == expected


@FEW
@given(st.sampled_from(("control-3des", "control-aes")), factors, factors, factors, messages)
def test_chips(kept: Any, control: str, chip: bytes, challenge: bytes, iv: bytes, message: bytes) -> None:
    path, value, algorithm = KeyPath(control, (chip,)), at(control, chip), VALUES[control][1]
    assert kept.auth(path, challenge) == schemes.auth(algorithm, value, challenge)
    assert kept.command_mac(path, iv, message) == schemes.command_mac(algorithm, value, iv, message)


@FEW
@given(factors, factors, messages)
def test_maintenance_of_cards(kept: Any, card: bytes, challenge: bytes, command: bytes) -> None:
    mac = kept.command_mac(KeyPath("maintenance", (card,)), challenge[:4] + bytes(4), command)
    assert mac == maintenance_mac(at("maintenance", card), challenge, command)


@FEW
@given(factors, factors, factors)
def test_keys_for_chips(kept: Any, chip: bytes, issuer: bytes, card: bytes) -> None:
    targets = [("purchase", (issuer,)), ("purchase", (issuer, card)), ("tac", (card,)), ("control-aes", (chip,))]
    for target, below in targets:
        wrapped = kept.wrap(KeyPath("transport-aes", (chip,)), KeyPath(target, below))
        assert wrapped == schemes.wrap("AES", at("transport-aes", chip), at(target, *below))
    for target, below in (*targets[1:], ("control-3des", (chip,))):
        wrapped = kept.wrap(KeyPath("control-3des", (chip,)), KeyPath(target, below))
        assert wrapped == schemes.wrap("3DES", at("control-3des", chip), at(target, *below))


@FEW
@given(factors)
def test_a_cards_key_is_released_with_a_reason(kept: Any, card: bytes) -> None:
    assert kept.release(KeyPath("tac", (card,)), "second provider") == at("tac", card)
    with pytest.raises(KeysError):
        kept.release(KeyPath("tac", (card,)), "")
    for path in (KeyPath("tac"), KeyPath("device-7"), KeyPath("params"), KeyPath("control-aes")):
        with pytest.raises(Lacks):
            kept.release(path, "second provider")


@FEW
@given(st.binary(max_size=400))
def test_devices_and_signatures(kept: Any, message: bytes) -> None:
    assert kept.hmac("device-7", message) == hmac.digest(VALUES["device-7"][-1], message, "sha256")
    digest = hmac.digest(b"", message, "sha256")
    public = signing.public_key(VALUES["params"][-1])
    assert kept.public_key("params") == public
    assert signing.verifies(public, digest, kept.sign("params", digest))


@pytest.mark.parametrize("key_id", VALUES)
def test_a_key_comes_in_only_as_it_is_described(make_backend: Any, key_id: str) -> None:
    backend, info, value = make_backend(), info_of(key_id, VALUES[key_id]), VALUES[key_id][-1]
    for bad, key in (
        (info._replace(kcv="00FF00"), value),
        (info, value[:-1]),
        (info, value + b"\0"),
        (info._replace(purpose="lunch"), value),
        (info._replace(level="planet"), value),
        (info._replace(key_id=""), value),
        (info._replace(version=256), value),
    ):
        with pytest.raises(KeysError) as refusal:
            backend.put(bad, key)
        assert key.hex() not in str(refusal.value).lower()
        assert backend.infos() == []
    backend.put(info, value)
    with pytest.raises(KeysError):
        backend.put(info, value)
    assert backend.infos() == [info]


@pytest.mark.parametrize("key_id", VALUES)
def test_a_key_is_made_inside(make_backend: Any, key_id: str) -> None:
    backend = make_backend()
    wanted = info_of(key_id, VALUES[key_id])._replace(kcv="")
    made, another = backend.make(wanted), backend.make(wanted._replace(key_id="another", subject=wanted.subject))
    assert made == wanted._replace(kcv=made.kcv) and len(made.kcv) == 6
    assert made.kcv != another.kcv
    assert backend.kcv(KeyPath(key_id)) == made.kcv
    assert sorted(backend.infos()) == sorted([made, another])


def test_a_level_is_derived_and_kept(make_backend: Any) -> None:
    backend = filled(make_backend())
    factor = bytes.fromhex(ISSUER)
    wanted = KeyInfo("own", "purchase", "3DES", "issuer", ISSUER, "", version=2)
    own = backend.derive("purchase", factor, wanted)
    assert own == wanted._replace(kcv=vault.kcv("3DES", at("purchase", factor)), parent="purchase")
    card = bytes(range(8))
    block = bytes(range(8, 16))
    assert backend.session_mac(KeyPath("own", (card,)), block, b"m") == backend.session_mac(
        KeyPath("purchase", (factor, card)), block, b"m"
    )
    with pytest.raises(KeysError):
        backend.derive("purchase", factor, wanted._replace(key_id="other", purpose="load"))
    with pytest.raises(KeysError):
        backend.derive("nobody", factor, wanted._replace(key_id="other"))


def test_states_and_dates_change_and_nothing_else(make_backend: Any) -> None:
    backend = filled(make_backend())
    info = info_of("tac", VALUES["tac"])
    for change in (VERIFY_ONLY, RETIRED):
        info = info._replace(state=change, retires_s=1_800_000_000)
        backend.change(info)
        assert info in backend.infos()
    for other in (
        info._replace(kcv="000000"), info._replace(version=9), info._replace(subject="04026111FFFFFFFF"),
        info._replace(key_id="nobody"),
    ):  # fmt: skip
        with pytest.raises(KeysError):
            backend.change(other)
        assert info in backend.infos()

    destroyed = info._replace(state=DESTROYED, destroys_s=1_900_000_000)
    backend.change(destroyed)
    assert destroyed in backend.infos()
    with pytest.raises(KeysError):
        backend.tacs(KeyPath("tac"), [bytes(8)], [b""])
    with pytest.raises(KeysError):
        backend.kcv(KeyPath("tac"))
    with pytest.raises(KeysError):
        backend.change(destroyed._replace(state=ACTIVE))


def test_a_key_that_is_not_there_is_refused_by_its_name(kept: Any) -> None:
    path = KeyPath("nobody", (bytes(8),))
    asks: list[Callable[[], object]] = [
        lambda: kept.kcv(path), lambda: kept.session_mac(path, bytes(8), b""), lambda: kept.auth(path, bytes(8)),
        lambda: kept.tacs(path, [bytes(8)], [b""]), lambda: kept.command_mac(path, bytes(8), b""),
        lambda: kept.wrap(path, path), lambda: kept.release(path, "why"), lambda: kept.hmac("nobody", b""),
        lambda: kept.sign("nobody", bytes(32)), lambda: kept.public_key("nobody"),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(KeysError, match="nobody"):
            ask()


def test_a_published_key_is_none_of_productions(make_backend: Any) -> None:
    key = bytes.fromhex("0123456789ABCDEF") * 2
    info = KeyInfo("own", "tac", "3DES", "nation", "", vault.kcv("3DES", key))
    production = make_backend(False)
    assert not production.test
    with pytest.raises(vault.MixedKeys, match=info.kcv):
        production.put(info, key)
    assert production.infos() == []
    make_backend().put(info, key)
