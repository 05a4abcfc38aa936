"""The key service: the published vectors, which key a path finds, and what each state lets a key do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from hypothesis import given
from hypothesis import strategies as some

from backoffice.keys import backend, hierarchy, native, schemes, vault
from backoffice.keys.backend import KeyInfo, KeyPath, KeysError, Lacks
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import BAD, NO_KEY, OK, ROW_VERDICTS, UNAVAILABLE, NoKey, TacRequest
from backoffice.keys.vault import KeyFile, Vault, kcv
from backoffice.tests.test_keys import VECTOR
from tunion.crypto import keys as reference
from tunion.wire.soft_sam import open_blob

FILE = json.loads((Path(__file__).parents[2] / "firmware/tests/vectors/card_vectors.json").read_text())
INPUTS = FILE["inputs"]
ISSUER = bytes.fromhex(INPUTS["issuer"])
CARD = bytes.fromhex(INPUTS["factor_card"])
CHIP = bytes.fromhex("0102030405060708")
SECRET = KeyFile(bytes(32))  # a key file opens at once, a passphrase takes its time
MASTERS = {"purchase": "MPK", "load": "MLK", "tac": "MTK", "maintenance": "MAMK"}


def info(key_id: str, purpose: str, value: bytes, **fields: Any) -> KeyInfo:
    algorithm = fields.pop("algorithm", "3DES")
    level = fields.pop("level", hierarchy.LEVELS[purpose][0])
    return KeyInfo(key_id, purpose, algorithm, level, fields.pop("subject", ""), kcv(algorithm, value), **fields)


@pytest.fixture
def made(tmp_path: Path) -> Vault:
    return vault.create(tmp_path / "test.vault", SECRET, test=True)


@pytest.fixture
def full(made: Vault) -> Vault:
    """The masters of the vectors at the top, and a control and a transport key of each algorithm."""
    for purpose, name in MASTERS.items():
        value = bytes.fromhex(INPUTS[name])
        for algorithm in ("3DES", "SM4"):
            made.add(info(f"{purpose}-{algorithm}", purpose, value, algorithm=algorithm), value)
    for purpose in ("control", "transport"):
        for algorithm in ("3DES", "AES"):
            value = bytes(range(len(purpose), len(purpose) + 16))
            made.add(info(f"{purpose}-{algorithm}", purpose, value, algorithm=algorithm), value)
    made.save()
    return made


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_published_vectors_come_out(full: Vault) -> None:
    service = Keyring(full)
    for purpose, short in (("purchase", "DPK"), ("load", "DLK"), ("tac", "DTK"), ("maintenance", "DAMK")):
        of_issuer = service.path(purpose, "3DES", 1, ISSUER)
        of_card = service.path(purpose, "3DES", 1, ISSUER, CARD)
        assert service.kcv(of_issuer) == kcv("3DES", hexed(FILE["diversify"][f"{short}_issuer"]))
        assert service.kcv(of_card) == kcv("3DES", hexed(FILE["diversify"][short]))

    purchase, load, tac, maintenance = (
        service.path(purpose, "3DES", 1, ISSUER, CARD) for purpose in ("purchase", "load", "tac", "maintenance")
    )
    for name in ("plain_purchase", "capp_metro_entry", "capp_metro_exit", "capp_bus_on"):
        case = FILE[name]
        block = hexed(case["session_input"])
        assert service.session_mac(purchase, block, hexed(case["mac1_input"])).hex().upper() == case["mac1"]
        assert service.session_mac(purchase, block, hexed(case["mac2_input"])).hex().upper() == case["mac2"]
        assert service.tac(tac, hexed(case["tac_input"])).hex().upper() == case["tac"]
    case = FILE["load"]
    block = hexed(case["session_input"])
    assert service.session_mac(load, block, hexed(case["mac1_input"])).hex().upper() == case["mac1"]
    assert service.session_mac(load, block, hexed(case["mac2_input"])).hex().upper() == case["mac2"]
    assert service.tac(tac, hexed(case["tac_input"])).hex().upper() == case["tac"]

    blocked = hexed(FILE["app_block"]["block_temporary"])
    mac = service.maintenance_mac(maintenance, hexed("01020304"), blocked[:5])
    assert mac == blocked[5:]

    case = FILE["sm4_inferred"]
    purchase = service.path("purchase", "SM4", 1, ISSUER, CARD)
    assert service.kcv(purchase) == kcv("SM4", hexed(case["DPK"]))
    block, mac1 = hexed(case["session_input"])[:8], hexed(FILE["capp_metro_entry"]["mac1_input"])
    assert service.session_mac(purchase, block, mac1).hex().upper() == case["mac1"]
    assert service.session_mac(purchase, block, bytes(4)).hex().upper() == case["mac2"]


def test_a_chip_is_proved_secured_and_given_keys_as_the_schemes_say(full: Vault) -> None:
    service = Keyring(full)
    target = service.path("purchase", "3DES", 1, ISSUER, CARD)
    value = hexed(FILE["diversify"]["DPK"])
    challenge, iv, message = bytes(range(8)), bytes(range(8, 16)), b"WRITE KEY and its data"
    for algorithm in ("3DES", "AES"):
        control = service.path("control", algorithm, 1, b"", CHIP)
        master = bytes(range(7, 23))
        key = schemes.diversify_aes(master, CHIP) if algorithm == "AES" else reference.suite(0).diversify(master, CHIP)
        assert service.kcv(control) == kcv(algorithm, key)
        assert service.auth(control, challenge) == schemes.auth(algorithm, key, challenge)
        assert service.command_mac(control, iv, message) == schemes.command_mac(algorithm, key, iv, message)
        assert service.wrap(control, target) == schemes.wrap(algorithm, key, value)


def test_a_soft_sam_holds_two_versions_of_each_issuers_key(full: Vault) -> None:
    second = full.make(KeyInfo("purchase-2", "purchase", "3DES", "nation", "", "", version=2))
    service = Keyring(full)
    other = hexed("09990100FFFFFFFF")
    blob = service.soft_sam_blob(
        bytes(range(32)), [ISSUER, other], hexed("611000000042"), 3, hexed("20250101"), hexed("20251231"), [1, 2]
    )
    opened = open_blob(blob, bytes(range(32)), decrypt)
    assert opened.keys[1][ISSUER] == hexed(FILE["diversify"]["DPK_issuer"])
    for issuer in (ISSUER, other):
        assert kcv("3DES", opened.keys[2][issuer]) == service.kcv(service.path("purchase", "3DES", 2, issuer))
    assert opened.head.flags == 1 and second.version == 2
    with pytest.raises(NoKey, match="version 3"):
        service.soft_sam_blob(bytes(32), [ISSUER], bytes(6), 1, hexed("20250101"), hexed("20251231"), [3])


def decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    return Cipher(AES128(key), modes.CBC(iv)).decryptor().update(blocks)


THREE = hierarchy.scheme("three_steps")
ladder = some.sampled_from(
    (("issuer", "04026110FFFFFFFF"), ("province", "04026110FFFFFFFF"), ("province", "6100FFFFFFFFFFFF"),
     ("province", ""), ("nation", ""))
)  # fmt: skip


@given(held=some.sets(ladder), version=some.integers(0, 255))
def test_the_key_nearest_to_the_issuer_is_taken_and_leads_to_the_card(
    held: set[tuple[str, str]], version: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against a model: each key's own formula, step by step."""
    made = vault.create(tmp_path_factory.mktemp("v") / "v", SECRET, test=True)
    order = [
        ("issuer", "04026110FFFFFFFF"), ("province", "04026110FFFFFFFF"), ("province", "6100FFFFFFFFFFFF"),
        ("province", ""), ("nation", ""),
    ]  # fmt: skip
    for number, (level, subject) in enumerate(order):
        if (level, subject) in held:
            value = bytes((number + 1,)) * 16
            made.add(info(f"key-{number}", "tac", value, level=level, subject=subject, version=version), value)
    service = Keyring(made, scheme=THREE)
    if not held:
        with pytest.raises(NoKey):
            service.path("tac", "3DES", version, ISSUER, CARD)
        return
    number = min(order.index(one) for one in held)
    steps = {"issuer": [], "province": [ISSUER], "nation": [hexed("6100FFFFFFFFFFFF"), ISSUER]}[order[number][0]]
    key = bytes((number + 1,)) * 16
    for factor in (*steps, CARD):
        key = reference.suite(0).diversify(key, factor)
    path = service.path("tac", "3DES", version, ISSUER, CARD)
    assert path == KeyPath(f"key-{number}", (*steps, CARD))
    assert service.kcv(path) == kcv("3DES", key)
    for purpose, algorithm, wrong in (("load", "3DES", version), ("tac", "SM4", version), ("tac", "3DES", version ^ 1)):
        with pytest.raises(NoKey):
            service.path(purpose, algorithm, wrong, ISSUER)


@pytest.mark.parametrize("state", hierarchy.STATES)
def test_what_each_state_allows(state: str, full: Vault) -> None:
    since_s = VECTOR.at_s + 1
    for one in full.infos():
        full.change(one._replace(state=state, compromised_s=since_s if state == backend.COMPROMISED else 0))
    service = Keyring(full)
    makes = state == backend.ACTIVE
    for purpose in MASTERS:
        if makes:
            service.path(purpose, "3DES", 1, ISSUER)
        else:
            with pytest.raises(NoKey, match=purpose):
                service.path(purpose, "3DES", 1, ISSUER)
    old, new = VECTOR, VECTOR._replace(at_s=since_s)
    # the later purchase has the TAC of the earlier: bad where it is looked at
    expected = {
        backend.ACTIVE: [OK, BAD], backend.VERIFY_ONLY: [OK, BAD], backend.COMPROMISED: [OK, NO_KEY],
    }.get(state, [NO_KEY, NO_KEY])  # fmt: skip
    assert service.tac_verify_batch([old, new]) == expected

    tac = KeyPath("tac-3DES", (ISSUER, CARD))
    calls: list[Callable[[], object]] = [
        lambda: service.tac(tac, bytes(22)),
        lambda: service.session_mac(KeyPath("purchase-3DES", (ISSUER, CARD)), bytes(8), bytes(4)),
        lambda: service.auth(KeyPath("control-AES", (CHIP,)), bytes(8)),
        lambda: service.command_mac(KeyPath("control-AES", (CHIP,)), bytes(8), b"x"),
        lambda: service.wrap(KeyPath("control-AES", (CHIP,)), tac),
        lambda: service.maintenance_mac(KeyPath("maintenance-3DES", (ISSUER, CARD)), bytes(8), b"x"),
    ]
    for call in calls:
        if makes:
            call()
        else:
            with pytest.raises(NoKey):
                call()
    if state == backend.DESTROYED:
        with pytest.raises(NoKey, match="destroyed"):
            service.kcv(tac)
        with pytest.raises(vault.VaultError, match="destroyed"):
            full._key("tac-3DES")
    else:
        assert service.kcv(tac)


def test_a_retired_key_of_an_issuer_is_not_walked_round_by_its_province(made: Vault) -> None:
    value = bytes(range(16))
    made.put(info("nation", "tac", value), value)
    made.derive("nation", ISSUER, KeyInfo("own", "tac", "3DES", "issuer", ISSUER.hex().upper(), ""))
    service = Keyring(made)
    assert service.path("tac", "3DES", 1, ISSUER).key_id == "own"
    made.change(made.info("own")._replace(state=backend.RETIRED))
    with pytest.raises(NoKey):
        service.path("tac", "3DES", 1, ISSUER)
    assert service.tac_verify_batch([VECTOR]) == [NO_KEY]


def test_a_key_does_what_its_purpose_says_and_nothing_else(full: Vault) -> None:
    service = Keyring(full)
    tac, control = KeyPath("tac-3DES", (ISSUER, CARD)), KeyPath("control-3DES", (CHIP,))
    calls: tuple[Callable[[], object], ...] = (
        lambda: service.session_mac(tac, bytes(8), bytes(4)),
        lambda: service.tac(KeyPath("purchase-3DES", (ISSUER, CARD)), bytes(22)),
        lambda: service.auth(tac, bytes(8)),
        lambda: service.maintenance_mac(control, bytes(8), b"x"),
        lambda: service.wrap(tac, tac),
        lambda: service.wrap(control, KeyPath("tac-3DES", (ISSUER,))),  # a TAC key leaves for its card only
        lambda: service.wrap(control, KeyPath("tac-3DES")),
        lambda: service.tac(KeyPath("tac-3DES"), bytes(22)),
        lambda: service.tac(KeyPath("tac-3DES", (ISSUER,)), bytes(22)),
        # one step above, an answer would be half of the key of who has the question for a serial number
        lambda: service.auth(KeyPath("control-3DES"), CHIP),
        lambda: service.command_mac(KeyPath("control-AES"), bytes(8), CHIP),
        lambda: service.wrap(KeyPath("control-AES"), tac),
        lambda: service.session_mac(KeyPath("purchase-3DES", (ISSUER,)), CARD, bytes(4)),
        lambda: service.maintenance_mac(KeyPath("maintenance-3DES", (ISSUER,)), bytes(8), b"x"),
        lambda: service.maintenance_mac(KeyPath("maintenance-SM4", (ISSUER, CARD)), bytes(8), b"x"),
    )
    for call in calls:
        with pytest.raises(KeysError):
            call()
    for path in (KeyPath("tac-3DES"), KeyPath("tac-3DES", (ISSUER,)), KeyPath("purchase-3DES"), control):
        with pytest.raises(Lacks):
            full.release(path, "to see it")
    assert service.wrap(control, KeyPath("purchase-3DES"))  # a PSAM holds it


class Poor(Vault):
    """A vault without SM4, as a token is; it may be away."""

    away = False

    def tacs(self, path: KeyPath, cards: Any, messages: Any) -> list[bytes]:
        if self.away:
            raise backend.Unavailable("the token is gone: put it back")
        self._must_know(path)
        return super().tacs(path, cards, messages)

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        self._must_know(path)
        return super().session_mac(path, block, message)

    def _must_know(self, path: KeyPath) -> None:
        if self.info(path.key_id).algorithm == "SM4":
            raise Lacks("SM4 is not in this token")


def poor(path: Path) -> Poor:
    made = Poor(path, True, bytes(16), SECRET)
    made.save()
    return made


def sm4_request() -> TacRequest:
    suite = reference.suite(4)
    key = reference.card_key(suite, hexed(INPUTS["MTK"]), ISSUER, VECTOR.card)
    return VECTOR._replace(algorithm=4, tac=suite.mac(key, hexed(FILE["plain_purchase"]["tac_input"])))


def test_what_one_backend_lacks_the_next_does_or_the_second_provider(full: Vault, tmp_path: Path) -> None:
    token = poor(tmp_path / "token")
    value = hexed(INPUTS["MTK"])
    token.put(info("tac-SM4", "tac", value, algorithm="SM4"), value)
    block, message = bytes(8), bytes(22)
    for service in (Keyring(token, full), Keyring(token)):
        assert service.tac_verify_batch([sm4_request(), sm4_request()._replace(tac=bytes(4))]) == [OK, BAD]
        path = service.path("tac", "SM4", 1, ISSUER, CARD)
        assert service.tac(path, message) == Keyring(full).tac(path, message)
    assert Keyring(token, full).session_mac(KeyPath("purchase-SM4", (ISSUER, CARD)), block, message)

    token.away = True
    assert Keyring(token).tac_verify_batch([sm4_request()]) == [UNAVAILABLE]


def test_keys_in_two_places_wrap_only_where_both_lie(full: Vault, tmp_path: Path) -> None:
    token = poor(tmp_path / "token")
    value = bytes(range(16))
    token.put(info("own", "control", value, version=7), value)
    service = Keyring(token, full)
    with pytest.raises(Lacks, match="one place"):
        service.wrap(service.path("control", "3DES", 7, b"", CHIP), service.path("purchase", "3DES", 1, ISSUER, CARD))


def test_two_keys_of_one_name_and_mixed_backends_are_refused(full: Vault, tmp_path: Path) -> None:
    token = poor(tmp_path / "token")
    value = bytes(range(16))
    token.put(info("tac-3DES", "tac", value), value)
    with pytest.raises(KeysError, match="rename"):
        Keyring(token, full).infos()
    with pytest.raises(KeysError):
        Keyring(full, vault.create(tmp_path / "real", SECRET, test=False))
    with pytest.raises(KeysError):
        Keyring()


def test_a_key_in_two_places_may_do_what_it_may_do_in_both(full: Vault, tmp_path: Path) -> None:
    """One was told that the key is lost, and the other was not."""
    other = vault.create(tmp_path / "other", SECRET, test=True)
    for row in full.infos():
        if row.key_id == "tac-3DES":
            other.put(row, full._key(row.key_id))
    assert Keyring(full, other).tac_verify_batch([VECTOR]) == [OK]
    for state, verdict in (("verify_only", OK), ("compromised", NO_KEY), ("retired", NO_KEY)):
        other.change(other.info("tac-3DES")._replace(state=state, compromised_s=VECTOR.at_s))
        for keys in (Keyring(full, other), Keyring(other, full)):
            with pytest.raises(NoKey):
                keys.path("tac", "3DES", 1, VECTOR.issuer)
            assert keys.tac_verify_batch([VECTOR]) == [verdict]


def test_rows_are_judged_in_their_order_and_the_same_each_time(full: Vault) -> None:
    service = Keyring(full)
    requests = []
    for number in range(300):
        request = (VECTOR, sm4_request(), VECTOR._replace(tac=bytes(4)), VECTOR._replace(version=2))[number % 4]
        requests.append(request)
    expected = [OK, OK, BAD, NO_KEY] * 75
    rows = native.pack_rows(requests, None)
    assert [ROW_VERDICTS[code] for code in service.tac_verify_rows(rows)] == expected
    assert service.tac_verify_rows(rows) == service.tac_verify_rows(rows)
    assert service.tac_verify_batch(requests) == expected
    assert service.tac_verify_rows(b"") == b""
    with pytest.raises(native.BadRows):
        service.tac_verify_rows(rows[:-1])


def test_a_put_a_make_and_a_change_last_or_did_not_happen(
    full: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Keyring(full)
    before = full.infos()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.replace", no_room)
        for call in (
            lambda: full.make(KeyInfo("new", "load", "3DES", "nation", "", "", version=2)),
            lambda: full.derive("load-3DES", ISSUER, KeyInfo("new", "load", "3DES", "issuer", "04026110FFFFFFFF", "")),
            lambda: full.change(before[0]._replace(state=backend.DESTROYED)),
        ):
            with pytest.raises(OSError):
                call()
            assert full.infos() == before == service.infos()
    full.make(KeyInfo("new", "load", "3DES", "nation", "", "", version=2))
    assert vault.open_vault(full.path, SECRET).infos() == full.infos() == service.infos()


def test_two_programs_do_not_overwrite_one_another(full: Vault) -> None:
    other = vault.open_vault(full.path, SECRET)
    full.make(KeyInfo("mine", "load", "3DES", "nation", "", "", version=2))
    with pytest.raises(vault.Changed):
        other.make(KeyInfo("theirs", "load", "3DES", "nation", "", "", version=3))
    assert "theirs" not in [one.key_id for one in other.infos()]
    assert "mine" in [one.key_id for one in vault.open_vault(full.path, SECRET).infos()]


def test_a_program_that_runs_for_long_follows_the_file(full: Vault) -> None:
    service = Keyring(vault.open_vault(full.path, SECRET))
    tac = service.path("tac", "3DES", 1, ISSUER, CARD)
    service.tac(tac, bytes(22))
    full.change(full.info("tac-3DES")._replace(state=backend.COMPROMISED, compromised_s=1))
    with pytest.raises(NoKey, match="compromised"):
        service.tac(tac, bytes(22))
    full.make(KeyInfo("tac-2", "tac", "3DES", "nation", "", "", version=2))
    assert service.kcv(service.path("tac", "3DES", 2, ISSUER)) == Keyring(full).kcv(KeyPath("tac-2", (ISSUER,)))

    whole = full.path.read_bytes()
    full.path.unlink()
    service.path("tac", "3DES", 2, ISSUER)  # moved away: as it was opened
    full.path.write_bytes(whole.replace(b'"compromised"', b'"active"'))
    with pytest.raises(vault.Tampered):
        service.path("tac", "3DES", 2, ISSUER)
    full.path.unlink()
    vault.create(full.path, SECRET, test=True)
    with pytest.raises(vault.Changed, match="start the program"):
        service.path("tac", "3DES", 2, ISSUER)


def test_a_destroyed_key_is_gone_from_the_file_and_from_where_it_lay(full: Vault) -> None:
    wrapped = full._entries["tac-3DES"][2].hex().encode()
    lying = full.path.open("rb")  # the file as it was, which loses its name
    full.change(full.info("tac-3DES")._replace(state=backend.DESTROYED, destroys_s=1))
    assert wrapped not in full.path.read_bytes()
    assert set(lying.read()) == {0}
    again = vault.open_vault(full.path, SECRET)
    assert again.info("tac-3DES").state == backend.DESTROYED
    for call in (
        lambda: again.kcv(KeyPath("tac-3DES")),
        lambda: again.change(again.info("tac-3DES")._replace(state=backend.ACTIVE)),
        lambda: again.change(again.info("load-3DES")._replace(version=9)),
    ):
        with pytest.raises(vault.VaultError):
            call()


def test_a_production_vault_takes_no_known_key_however_it_comes(tmp_path: Path) -> None:
    real = vault.create(tmp_path / "real", SECRET, test=False)
    for purpose, name in MASTERS.items():
        value = hexed(INPUTS[name])
        with pytest.raises(vault.MixedKeys):
            real.put(info(name, purpose, value), value)
    assert real.infos() == [] == vault.open_vault(real.path, SECRET).infos()


def test_what_opens_a_vault_is_told_apart(full: Vault, tmp_path: Path) -> None:
    for wrong in (b"a passphrase", KeyFile(b"\x01" * 32)):
        with pytest.raises(vault.WrongPassphrase, match="key file"):
            vault.open_vault(full.path, wrong)
    with pytest.raises(vault.VaultError, match="urandom"):
        KeyFile(bytes(31))
    with pytest.raises(vault.VaultError, match="urandom"):
        (tmp_path / "long").write_bytes(bytes(5000))
        vault.read_key_file(tmp_path / "long")
    (tmp_path / "key").write_bytes(bytes(32))
    assert vault.open_vault(full.path, vault.read_key_file(tmp_path / "key")).infos() == full.infos()


def test_no_repr_shows_a_key(full: Vault) -> None:
    service = Keyring(full)
    shown = repr((full, service, full.infos(), SECRET, vars(full).get("_entries"), service._released))
    for name in MASTERS.values():
        assert INPUTS[name].lower() not in shown.lower()
    assert bytes(SECRET.value).hex() not in shown and repr(SECRET.value) not in shown


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ([], "steps"),
        ({"steps": [{"to": "card", "factor": [{"hex": "00"}]}]}, "8 bytes"),
        ({"steps": [{"to": "moon", "factor": []}]}, "province"),
        ({"steps": [{"to": "card", "factor": [{"hex": "zz"}]}]}, "hex"),
        ({"steps": [{"to": "card", "factor": [{"take": "card", "from": 1, "bytes": 8}]}]}, "part"),
        ({"steps": [{"to": "card", "factor": [{"take": "card", "from": 0, "bytes": 8}]}]}, "issuer"),
    ],
)
def test_a_scheme_that_says_nothing_useful_is_refused(content: Any, word: str) -> None:
    with pytest.raises(hierarchy.BadScheme, match=word):
        hierarchy.of_map(content)


def test_schemes_are_found_by_name_or_file(tmp_path: Path) -> None:
    assert hierarchy.schemes() == ["three_steps", "two_steps"]
    with pytest.raises(hierarchy.BadScheme, match="two_steps"):
        hierarchy.scheme("none")
    (tmp_path / "own.json").write_text("{")
    with pytest.raises(hierarchy.BadScheme, match="JSON"):
        hierarchy.scheme(str(tmp_path / "own.json"))
    two = hierarchy.scheme("two_steps")
    assert two.below("nation", ISSUER) == (ISSUER,) == two.below("province", ISSUER)
    assert THREE.below("nation", ISSUER) == (hexed("6100FFFFFFFFFFFF"), ISSUER)
    assert two.factor("card", card=CARD) == CARD
