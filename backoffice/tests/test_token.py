"""A token: what stays inside, what leaves it, and what each failure is called. SoftHSM2 stands for the hardware."""

import contextlib
import json
import os
import random
import resource
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import exceptions as refusals
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from backoffice.keys import schemes, token, token_abilities, token_link, token_objects, token_rows
from backoffice.keys.backend import DESTROYED, VERIFY_ONLY, KeyInfo, KeyPath, KeysError, Lacks, Unavailable
from backoffice.keys.service import NoKey
from backoffice.keys.suites import SUITES
from backoffice.keys.token_link import PinLocked, TokenError, TokenFull, TokenGone, WrongPin
from backoffice.keys.vault import Tampered, kcv
from backoffice.tests.softhsm import MODULE, PIN, SO_PIN, SoftHsm, softhsm
from backoffice.tests.test_backend_contract import VALUES, filled, info_of

ROOT = Path(__file__).parents[2]
CARD, CHIP, BLOCK = bytes(range(8)), bytes(range(8, 16)), bytes(range(16, 24))
TAC = KeyPath("tac")
AES_CONTROL, DES_CONTROL = KeyPath("control-aes", (CHIP,)), KeyPath("control-3des", (CHIP,))


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    with softhsm(tmp_path / "hsm") as made:
        yield made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with softhsm(tmp_path_factory.mktemp("template") / "hsm") as made:
        filled(made.make())
        return made.tokens


@pytest.fixture
def hsm_of_keys(template: Path, tmp_path: Path) -> Iterator[SoftHsm]:
    """With the token `demo`, which holds VALUES."""
    with softhsm(tmp_path / "hsm", template) as made:
        yield made


@pytest.fixture
def full_of_keys(hsm_of_keys: SoftHsm) -> token.Token:
    return hsm_of_keys.open()


def objects(opened: token.Token, **wanted: Any) -> list[Any]:
    with opened._link.use() as session:
        return list(session.get_objects({Attribute[name]: value for name, value in wanted.items()}))


def tac_of(card: bytes, message: bytes) -> bytes:
    suite = SUITES["3DES"]
    return suite.tac(suite.diversify(VALUES["tac"][-1], card), message)


# --- what stays inside --------------------------------------------------------------------------------------------


def test_kept_keys_cannot_be_read_nor_changed_and_only_derive_or_sign(full_of_keys: token.Token) -> None:
    full_of_keys.make(KeyInfo("made", "load", "3DES", "nation", "", ""))
    full_of_keys.make(KeyInfo("made params", "params", "ES256", "sign", "", ""))
    full_of_keys.derive("purchase", CARD, KeyInfo("derived", "purchase", "3DES", "issuer", "0001020304050607", ""))
    keys = objects(full_of_keys, CLASS=ObjectClass.SECRET_KEY) + objects(full_of_keys, CLASS=ObjectClass.PRIVATE_KEY)
    assert len(keys) == len(VALUES) + 3 + 1  # and the seal
    for key in keys:
        assert key[Attribute.SENSITIVE] and not key[Attribute.EXTRACTABLE] and key[Attribute.PRIVATE]
        with pytest.raises(refusals.AttributeSensitive):
            key[Attribute.VALUE]
        for name in (Attribute.EXTRACTABLE, Attribute.ENCRYPT, Attribute.WRAP):
            with pytest.raises(refusals.PKCS11Error):
                key[name] = True
        signs = key[Attribute.KEY_TYPE] in (KeyType.EC, KeyType.GENERIC_SECRET)
        assert key[Attribute.SIGN] == signs and key[Attribute.DERIVE] != signs
        assert not key[Attribute.DECRYPT] and not key[Attribute.UNWRAP]


def test_what_was_derived_for_a_call_is_gone_after_it(full_of_keys: token.Token) -> None:
    path = KeyPath("purchase", (CARD, CHIP))
    full_of_keys.kcv(path)
    full_of_keys.session_mac(path, BLOCK, b"message")
    full_of_keys.tacs(TAC, [CARD] * 3, [b"m"] * 3)
    full_of_keys.wrap(AES_CONTROL, path)
    full_of_keys.wrap(DES_CONTROL, path)
    full_of_keys.release(path, "to see what stays behind")
    for control in (AES_CONTROL, DES_CONTROL):
        full_of_keys.auth(control, BLOCK)
        full_of_keys.command_mac(control, BLOCK, b"message")
    with pytest.raises(ValueError):
        full_of_keys.session_mac(KeyPath("purchase", (CARD, b"short")), BLOCK, b"message")
    with pytest.raises(KeysError):
        full_of_keys.session_mac(path, b"short", b"message")
    assert objects(full_of_keys, TOKEN=False) == []


def test_a_strict_token_lends_nothing_and_says_so(hsm_of_keys: SoftHsm, full_of_keys: token.Token) -> None:
    strict = hsm_of_keys.open(strict=True)
    card = KeyPath("tac", (CARD,))
    for ask in (
        lambda: strict.tacs(TAC, [CARD], [b"m"]),
        lambda: strict.release(card, "why"),
        lambda: strict.wrap(DES_CONTROL, card),
    ):
        with pytest.raises(Lacks, match="strict"):
            ask()
    assert strict.lent == 0
    assert strict.wrap(AES_CONTROL, card) == full_of_keys.wrap(AES_CONTROL, card)
    refused = {(row.operation, row.algorithm) for row in strict.capabilities() if row.where == token_abilities.REFUSED}
    assert refused == {("tacs", "3DES"), ("wrap", "3DES"), ("release", "3DES"), ("all", "SM4")}


def test_each_key_that_is_lent_is_counted_and_told(full_of_keys: token.Token) -> None:
    told: list[tuple[KeyPath, str, int]] = []
    full_of_keys.on_lend = lambda path, why, count: told.append((path, why, count))
    count = token.CARDS_AT_ONCE + 1
    assert full_of_keys.tacs(TAC, [CARD] * count, [b"m"] * count) == [tac_of(CARD, b"m")] * count
    card = KeyPath("tac", (CARD,))
    full_of_keys.wrap(DES_CONTROL, card)
    full_of_keys.release(card, "for a test")
    full_of_keys.wrap(AES_CONTROL, card)
    assert told == [
        (TAC, "tac", count), (card, "wrap", 1), (card, "for a test", 1),
    ]  # fmt: skip
    assert full_of_keys.lent == count + 2
    rows = full_of_keys.capabilities()
    lends = {(row.operation, row.algorithm) for row in rows if row.where == token_abilities.LENDS}
    assert lends == {("tacs", "3DES"), ("wrap", "3DES"), ("release", "3DES")}


def test_no_key_above_a_cards_leaves_the_token(full_of_keys: token.Token) -> None:
    for path in (KeyPath("purchase"), KeyPath("purchase", (CARD,)), TAC, KeyPath("control-aes")):
        with pytest.raises(Lacks):
            full_of_keys.release(path, "why")
    with pytest.raises(Lacks, match="above that of a single card"):
        full_of_keys.wrap(DES_CONTROL, KeyPath("purchase", (CARD,)))
    full_of_keys.make(KeyInfo("national", "load", "3DES", "nation", "", ""))
    with pytest.raises(Lacks, match="above that of a single card"):  # an issuer's, where provinces are a step
        full_of_keys.release(KeyPath("national", (CARD, CARD)), "why")
    assert full_of_keys.lent == 0


def test_a_kept_key_is_wrapped_by_way_of_the_one_above_it(full_of_keys: token.Token) -> None:
    kept = full_of_keys.derive("purchase", CARD, KeyInfo("own", "purchase", "3DES", "issuer", "0001020304050607", ""))
    wrapped = full_of_keys.wrap(AES_CONTROL, KeyPath("own"))
    control = schemes.diversify_aes(VALUES["control-aes"][-1], CHIP)
    value = SUITES["3DES"].diversify(VALUES["purchase"][-1], CARD)
    assert wrapped == schemes.wrap("AES", control, value)
    assert kcv("3DES", value) == kept.kcv
    with pytest.raises(Lacks, match="keep the level above"):
        full_of_keys.wrap(AES_CONTROL, KeyPath("purchase"))


def test_what_has_no_place_in_a_token_is_refused_by_its_name(full_of_keys: token.Token) -> None:
    value = secrets.token_bytes(16)
    info = KeyInfo("sm4", "tac", "SM4", "nation", "", kcv("SM4", value))
    with pytest.raises(Lacks, match="SM4"):
        full_of_keys.put(info, value)
    with pytest.raises(Lacks, match="SM4"):
        full_of_keys.make(info)
    asks: list[Callable[[], object]] = [
        lambda: full_of_keys.auth(KeyPath("control-aes"), BLOCK),
        lambda: full_of_keys.session_mac(KeyPath("device-7"), BLOCK, b""),
        lambda: full_of_keys.hmac("tac", b""),
        lambda: full_of_keys.sign("device-7", bytes(32)),
        lambda: full_of_keys.wrap(AES_CONTROL, KeyPath("params", (CARD,))),
    ]
    for ask in asks:
        with pytest.raises(Lacks):
            ask()


# --- PINs ---------------------------------------------------------------------------------------------------------


def test_a_wrong_pin_opens_nothing_also_where_the_token_is_open_already(hsm: SoftHsm) -> None:
    hsm.make()
    with pytest.raises(WrongPin):
        token.Token(hsm.config(), "000000")
    slot = next(iter(token_link._module(MODULE).logins))
    with pytest.raises(WrongPin):
        token.Token(hsm.config()._replace(slot=slot), "000000")
    assert token.Token(hsm.config()._replace(slot=slot), PIN).infos() == []
    with pytest.raises(TokenGone):
        token.Token(hsm.config()._replace(slot=slot + 1), PIN)
    hsm.forget()
    with pytest.raises(WrongPin):
        token.Token(hsm.config(), "000000")
    assert hsm.open().infos() == []


def test_a_pin_changed_meanwhile_is_wanted_at_the_next_opening(hsm_of_keys: SoftHsm, full_of_keys: token.Token) -> None:
    subprocess.run(
        [sys.executable, "-c", "import pkcs11, sys\n"
         f"token = pkcs11.lib('{MODULE}').get_token(token_label='demo')\n"
         f"session = token.open(rw=True, user_pin='{PIN}'); session.set_pin('{PIN}', '999999')"],
        check=True, timeout=60,
    )  # fmt: skip
    assert full_of_keys.tacs(TAC, [CARD], [b"m"]) == [tac_of(CARD, b"m")]  # this session is open
    hsm_of_keys.forget()
    with pytest.raises(WrongPin):
        full_of_keys.tacs(TAC, [CARD], [b"m"])
    assert token.Token(hsm_of_keys.config(), "999999").tacs(TAC, [CARD], [b"m"]) == [tac_of(CARD, b"m")]


@pytest.mark.parametrize(
    "raised, named",
    [
        (refusals.PinLocked, PinLocked),  # SoftHSM locks none, after however many tries
        (refusals.PinIncorrect, WrongPin),
        (refusals.DeviceMemory, TokenFull),
        (refusals.DeviceRemoved, TokenGone),
        (refusals.SessionHandleInvalid, TokenGone),
        (refusals.TokenNotPresent, TokenGone),
        (refusals.MechanismInvalid, Lacks),
        (refusals.MultipleTokensReturned, TokenError),
        (refusals.TokenWriteProtected, TokenError),
    ],
)
def test_what_a_module_refuses_has_our_name(hsm: SoftHsm, raised: Any, named: type[Exception]) -> None:
    opened = hsm.make()
    with pytest.raises(named), opened._link.use():
        raise raised
    assert opened.infos() == []  # and the next call opens the token again


# --- a token that goes away ---------------------------------------------------------------------------------------


def test_a_token_that_vanishes_in_the_middle_of_a_batch_is_unavailable_until_it_is_back(
    hsm_of_keys: SoftHsm, full_of_keys: token.Token
) -> None:
    away = hsm_of_keys.tokens.with_name("away")

    class Leaving(list[bytes]):
        """Messages; with the first of them the token goes."""

        def __getitem__(self, place: Any) -> Any:
            hsm_of_keys.tokens.rename(away)
            return super().__getitem__(place)

    count = 2 * token.CARDS_AT_ONCE
    with pytest.raises(Unavailable, match="demo"):
        full_of_keys.tacs(TAC, [CARD] * count, Leaving([b"m"] * count))
    assert full_of_keys.lent == token.CARDS_AT_ONCE
    for ask in (
        lambda: full_of_keys.tacs(TAC, [CARD], [b"m"]),
        lambda: full_of_keys.hmac("device-7", b""),
        lambda: full_of_keys.make(KeyInfo("more", "load", "3DES", "nation", "", "")),
        full_of_keys.infos,
    ):
        with pytest.raises(TokenGone):
            ask()
    away.rename(hsm_of_keys.tokens)
    assert full_of_keys.tacs(TAC, [CARD], [b"m"]) == [tac_of(CARD, b"m")]
    assert len(full_of_keys.infos()) == len(VALUES)


def test_a_token_wiped_while_it_is_open_is_gone(hsm_of_keys: SoftHsm, full_of_keys: token.Token) -> None:
    shutil.rmtree(hsm_of_keys.tokens)
    for _ in range(3):
        with pytest.raises(TokenGone):
            full_of_keys.tacs(TAC, [CARD], [b"m"])
    with pytest.raises(TokenGone):
        hsm_of_keys.open()


def test_a_token_that_is_not_there_and_a_module_that_is_not_there(hsm: SoftHsm, tmp_path: Path) -> None:
    with pytest.raises(TokenGone, match="nobody"):
        hsm.open("nobody")
    with pytest.raises(TokenGone, match="module"):
        token.Token(token_link.Config(str(tmp_path / "none.so"), "demo"), PIN)
    library = tmp_path / "text.so"
    library.write_text("no library")
    with pytest.raises(TokenError):
        token.Token(token_link.Config(str(library), "demo"), PIN)


def test_a_process_that_forked_has_no_session(full_of_keys: token.Token) -> None:
    child = os.fork()
    if not child:
        try:
            full_of_keys.infos()
        except TokenGone:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# --- a token that is full -----------------------------------------------------------------------------------------


# around the sizes of a key and a row, of SoftHSM's buffer, and of what is written to see whether there is room
SIZES = (0, 300, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1400, 2000, 4096, 8192, 16384, 40_000)


@contextlib.contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond: a write stops in its middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("key_id", ["tac", "device-7", "params"])
def test_a_key_is_stored_whole_or_not_at_all_wherever_the_room_ends(hsm: SoftHsm, key_id: str) -> None:
    opened, row = hsm.make(), VALUES[key_id]
    info, outcomes = info_of(key_id, row), set()
    for size in SIZES:
        refused = False
        with files_at_most(size):
            try:
                opened.put(info, row[-1])
            except TokenFull as error:
                assert row[-1].hex() not in str(error).lower()
                refused = True
        outcomes.add(refused)
        hsm.forget()
        if refused:
            assert opened.infos() == [], size
            assert not objects(opened, LABEL=key_id), size
        else:
            assert opened.kcv(KeyPath(key_id)) == info.kcv
            break
    assert outcomes == {True, False}


def test_a_change_is_stored_whole_or_not_at_all_wherever_the_room_ends(hsm_of_keys: SoftHsm) -> None:
    hsm, opened = hsm_of_keys, hsm_of_keys.open()
    info = info_of("tac", VALUES["tac"])
    for state in (VERIFY_ONLY, DESTROYED):
        changed = info._replace(state=state)
        for size in SIZES:
            try:
                with files_at_most(size):
                    opened.change(changed)
                break
            except TokenFull:
                hsm.forget()
                assert opened.info("tac") == info
                assert opened.tacs(TAC, [CARD], [b"m"]) == [tac_of(CARD, b"m")]
        else:
            raise AssertionError("never stored")
        info = changed
    hsm.forget()
    assert opened.info("tac") == info
    assert len(objects(opened, LABEL="tac")) == 1  # the row alone


FILL = """
import sys
from pathlib import Path
from backoffice.keys import token, token_link
from backoffice.keys.backend import KeyInfo
from backoffice.tests.softhsm import SO_PIN, PIN, Config, MODULE
config = Config(MODULE, "small")
token.init_token(config, SO_PIN, PIN, True)
opened = token.Token(config, PIN)
kept = []
try:
    for number in range(100):
        kept.append(opened.make(KeyInfo(f"device-{number:02}", "device", "HMAC", "device", str(number), "")))
except token_link.TokenFull:
    assert len(kept) > 3, kept
else:
    raise AssertionError("never full")
assert opened.infos() == kept
assert [opened.hmac(info.key_id, b"")[:3].hex().upper() for info in kept] == [info.kcv for info in kept]
opened._link._module.restart()
assert opened.infos() == kept
print("full after", len(kept))
"""


def test_a_full_file_system_leaves_what_was_stored(tmp_path: Path) -> None:
    """A file system of 160 kB for the token, in a mount namespace of its own."""
    folder = SoftHsm(tmp_path / "hsm")
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o size=160k none "{folder.tokens}" && exec "{sys.executable}" -c "$FILL"'
    done = subprocess.run(
        [*own, "sh", "-c", script], cwd=ROOT, timeout=120, capture_output=True, text=True,
        env={**os.environ, "FILL": FILL, "SOFTHSM2_CONF": str(folder.conf)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("full after")


def test_a_key_that_is_refused_leaves_no_object(hsm: SoftHsm) -> None:
    opened = hsm.make()
    for key_id, row in VALUES.items():
        with pytest.raises(TokenError, match="check value"):
            opened.put(info_of(key_id, row)._replace(kcv="00FF00"), row[-1])
        assert objects(opened, LABEL=key_id) == []


def test_who_stores_a_name_at_the_same_time_as_another_program_takes_its_own_back(hsm: SoftHsm) -> None:
    opened, info = hsm.make(), info_of("tac", VALUES["tac"])
    others = token_rows.Row(1, "ab" * 16, "", "", info)

    def create(session: Any, template: dict[Attribute, Any]) -> tuple[Any, bytes]:
        token_rows.write(session, others)  # of the other program, in the middle of ours
        return session.create_object({**template, Attribute.VALUE: VALUES["tac"][-1]}), b""

    with pytest.raises(TokenError, match="another program"):
        opened._keep(info, create, "", info.kcv)
    with opened._link.use() as session:
        assert [row for row, _ in token_rows.of_key(session, "tac")] == [others]
    assert not objects(opened, LABEL="tac", CLASS=ObjectClass.SECRET_KEY)


class Late:
    """A session or module that fails a few times, as when another program writes at that moment."""

    def __init__(self, real: Any, name: str, error: type[Exception], times: int) -> None:
        self.real, self.name, self.error, self.times = real, name, error, times

    def __getattr__(self, name: str) -> Any:
        if name == self.name and self.times:
            self.times -= 1
            raise self.error
        return getattr(self.real, name)


def test_what_another_program_writes_at_the_moment_is_looked_at_again(full_of_keys: token.Token) -> None:
    with full_of_keys._link.use() as session:
        late = Late(session, "get_objects", refusals.ObjectHandleInvalid, 0)
        seal = token_rows._seal_key(session)
        late.times = 4
        assert len(token_rows._all(late, seal)) == len(VALUES) + 1
        late.times = 5
        with pytest.raises(refusals.ObjectHandleInvalid):
            token_rows._all(late, seal)
    link = full_of_keys._link
    for times, found in ((4, True), (5, False)):
        link.drop()
        link._module, real = Late(link._module, "token", refusals.NoSuchToken, times), link._module  # type: ignore[assignment]
        try:
            if found:
                assert len(full_of_keys.infos()) == len(VALUES)
            else:
                with pytest.raises(TokenGone):
                    full_of_keys.infos()
        finally:
            link._module = real
    assert len(full_of_keys.infos()) == len(VALUES)


# --- what is kept beside the keys ---------------------------------------------------------------------------------


def test_a_key_without_a_row_counts_for_nothing_and_makes_room(hsm: SoftHsm) -> None:
    opened, info = hsm.make(), info_of("tac", VALUES["tac"])
    with opened._link.use() as session:  # as a process that dies after the first of two objects
        session.create_object({
            **token_objects.template(info, secrets.token_bytes(16)),
            Attribute.VALUE: token_objects.with_parity("3DES", bytes(16)),
        })  # fmt: skip
    assert opened.infos() == []
    opened.put(info, VALUES["tac"][-1])
    assert len(objects(opened, LABEL="tac")) == 2  # the key and its row
    assert opened.tacs(TAC, [CARD], [b"m"]) == [tac_of(CARD, b"m")]


def test_a_destroyed_row_takes_a_left_over_key_with_it(hsm_of_keys: SoftHsm, full_of_keys: token.Token) -> None:
    row = full_of_keys._rows["tac"]
    with full_of_keys._link.use() as session:  # as a process that dies between the row and the key
        destroyed = row._replace(number=2, object_id="", info=row.info._replace(state=DESTROYED))
        token_rows.write(session, destroyed)
    hsm_of_keys.forget()
    opened = hsm_of_keys.open()
    assert opened.info("tac").state == DESTROYED
    assert not [found for found in objects(opened, LABEL="tac", CLASS=ObjectClass.SECRET_KEY)]
    with pytest.raises(NoKey):
        opened.tacs(TAC, [CARD], [b"m"])


def test_a_row_that_the_token_did_not_seal_is_refused(full_of_keys: token.Token) -> None:
    with full_of_keys._link.use() as session:
        (old, data), = token_rows.of_key(session, "tac")
        sealed = data[Attribute.VALUE]
        assert old.info.kcv.encode() in sealed
        session.create_object({
            Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.PRIVATE: True,
            Attribute.APPLICATION: token_rows.APPLICATION, Attribute.LABEL: "tac",
            Attribute.VALUE: sealed.replace(b'"active"', b'"retired"'),
        })  # fmt: skip
    with pytest.raises(Tampered):
        full_of_keys.infos()


def test_another_key_under_the_name_is_found_out_by_its_check_value(
    hsm_of_keys: SoftHsm, full_of_keys: token.Token
) -> None:
    row = full_of_keys._rows["tac"]
    (key,) = objects(full_of_keys, LABEL="tac", CLASS=ObjectClass.SECRET_KEY)
    with full_of_keys._link.use() as session:
        key.destroy()
        session.create_object({
            **token_objects.template(row.info, bytes.fromhex(row.object_id)),
            Attribute.VALUE: token_objects.with_parity("3DES", secrets.token_bytes(16)),
        })  # fmt: skip
    hsm_of_keys.forget()
    with pytest.raises(Tampered, match="check value"):
        full_of_keys.tacs(TAC, [CARD], [b"m"])


@pytest.mark.parametrize("how, count", [("bytes", 60), ("kills", 24)])
def test_a_token_is_hurt_and_tells_no_lies(how: str, count: int, tmp_path: Path) -> None:
    """A byte of its files is another; or a program dies in the middle of storing. Longer: run token_hurt by hand."""
    seed = secrets.randbelow(1 << 32)
    done = subprocess.run(
        [sys.executable, "-m", "backoffice.tests.token_hurt", how, str(tmp_path), str(seed), str(count)],
        cwd=ROOT, timeout=170, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# --- several at once ----------------------------------------------------------------------------------------------


def test_threads_get_their_own_answers(full_of_keys: token.Token) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    wrong: list[object] = []
    control = schemes.diversify_aes(VALUES["control-aes"][-1], CHIP)

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        try:
            for _ in range(40):
                card, message = chance.randbytes(8), chance.randbytes(22)
                if full_of_keys.tacs(TAC, [card], [message]) != [tac_of(card, message)]:
                    wrong.append(("tac", card))
                if full_of_keys.auth(AES_CONTROL, card) != schemes.auth("AES", control, card):
                    wrong.append(("auth", card))
                if full_of_keys.kcv(KeyPath("tac", (card,))) != kcv(
                    "3DES", SUITES["3DES"].diversify(VALUES["tac"][-1], card)
                ):
                    wrong.append(("kcv", card))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


OTHER = """
import sys
from pathlib import Path
from backoffice.keys import token
from backoffice.keys.backend import KeyInfo, KeysError
from backoffice.tests.softhsm import PIN
opened = token.open_token(Path(sys.argv[1]), PIN)
print("ready", flush=True)
for line in sys.stdin:
    name = line.strip()
    try:
        if name.startswith("destroy "):
            info = opened.info(name[8:])
            opened.change(info._replace(state="destroyed"))
        else:
            opened.make(KeyInfo(name, "load", "3DES", "nation", "", ""))
        print("done", flush=True)
    except KeysError as error:
        print("refused", error, flush=True)
"""


@contextlib.contextmanager
def another_process(file: Path) -> Iterator[Any]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(file)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        orders, said = other.stdin, other.stdout
        assert orders is not None and said is not None
        assert said.readline() == "ready\n"

        def tell(line: str) -> None:
            orders.write(line + "\n")
            orders.flush()

        yield tell, said.readline
        orders.close()


def test_two_processes_see_each_others_keys_and_never_keep_two_of_one_name(hsm: SoftHsm) -> None:
    hsm.make()
    file = hsm.tokens.with_name("token.json")
    token_link.write_config(file, hsm.config())
    opened = token.open_token(file, PIN)
    with another_process(file) as (tell, answer):
        for number in range(12):
            tell(f"both {number}")
            with contextlib.suppress(TokenError):
                opened.make(KeyInfo(f"both {number}", "load", "3DES", "nation", "", ""))
            tell(f"its {number}")
            opened.make(KeyInfo(f"ours {number}", "load", "3DES", "nation", "", ""))
            assert answer().split()[0] in ("done", "refused")
            assert answer() == "done\n"
        names = [info.key_id for info in opened.infos()]
        assert len(set(names)) == len(names)
        assert {f"{who} {number}" for who in ("its", "ours") for number in range(12)} <= set(names)
        for name in names:
            assert len(objects(opened, LABEL=name)) == 2, name
            opened.kcv(KeyPath(name))

        tell("destroy ours 3")
        assert answer() == "done\n"
        with pytest.raises((NoKey, Unavailable)):
            opened.kcv(KeyPath("ours 3"))
        with pytest.raises(NoKey):
            opened.kcv(KeyPath("ours 3"))
        assert opened.info("ours 3").state == DESTROYED


# --- the file and the PIN -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{", '{"module": "x"}', '{"module": "x", "token": 3}', '{"module": "x", "token": ""}',
        '{"module": "x", "token": "demo", "pin": "1234"}', '{"module": "x", "token": "demo", "slot": true}',
        json.dumps({"module": "x", "token": "d" * 33}), '{"module": "x", "token": "demo", "strict": "no"}',
    ],
)  # fmt: skip
def test_a_tokens_file_holds_what_it_should_and_no_pin(content: str, tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text(content)
    with pytest.raises(TokenError, match="token.json|label"):
        token_link.read_config(path)


def test_a_tokens_file_is_written_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    config = token_link.Config(MODULE, "一卡通", slot=3, strict=True)
    token_link.write_config(path, config)
    assert token_link.read_config(path) == config
    with pytest.raises(TokenError, match="another file"):
        token_link.write_config(path, config)
    with pytest.raises(TokenError):
        token_link.read_config(tmp_path / "none.json")


def test_a_pin_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pin"
    path.write_text("246810\nsecond line\n")
    monkeypatch.delenv(token_link.PIN_VARIABLE, raising=False)
    assert token_link.read_pin(path) == "246810"
    with pytest.raises(TokenError, match=token_link.PIN_VARIABLE):
        token_link.read_pin(None)
    monkeypatch.setenv(token_link.PIN_VARIABLE, "135790")
    assert token_link.read_pin(None) == "135790"
    for bad in ("", "\n", "123", "1" * 256):
        path.write_text(bad)
        with pytest.raises(TokenError):
            token_link.read_pin(path)


def test_a_token_is_made_once_and_for_one_kind_of_keys(hsm: SoftHsm) -> None:
    assert hsm.make("for tests").test is True
    assert hsm.make("for real", test=False).test is False
    with pytest.raises(TokenError, match="already"):
        token.init_token(hsm.config("for tests"), SO_PIN, PIN, False)
    hsm.forget()
    assert hsm.open("for tests").test is True and hsm.open("for real").test is False


def test_a_token_that_nobody_set_up_is_none_of_ours(hsm: SoftHsm) -> None:
    token_link.init(hsm.config("blank"), SO_PIN, PIN)
    with pytest.raises(TokenError, match="init"):
        hsm.open("blank")


def test_a_pin_file_that_is_no_text_is_quoted_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_bytes(b"2468\xff10\n")
    with pytest.raises(TokenError, match="cannot be read") as caught:
        token_link.read_pin(path)
    assert caught.value.__cause__ is None and caught.value.__context__ is None  # a UnicodeDecodeError holds the PIN
