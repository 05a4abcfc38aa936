"""Key ceremonies: parts, rules, steps that can be interrupted anywhere, and what is refused by name."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from backoffice.keys import ceremony as module
from backoffice.keys import ceremony_file, ceremony_plan, components
from backoffice.keys.backend import ACTIVE, DESTROYED, GENERATED, KeyInfo
from backoffice.keys.ceremony import Ceremony, Disagreed, Locked, MixedKeys, OutOfTurn, WrongBackend
from backoffice.keys.ceremony_file import StateError, Tampered, WrongPassphrase
from backoffice.keys.ceremony_plan import BadPlan, RuleBroken, plan_of
from backoffice.keys.components import BadPart, EqualParts, WrongCheckValue
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.tests import ceremony_room
from backoffice.tests.ceremony_room import PARTS, PASSPHRASE, WHOLE, Keeps, Room, content

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt at a thousandth of its cost; a cut is an exception here, so nothing is asked of the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setitem(ceremony_file._SCRYPT, "n", 16)


@pytest.fixture
def room(tmp_path: Path, cheap: None) -> Room:
    return Room(tmp_path)


def test_components_and_shares_give_the_key_back() -> None:
    key = components.draw()
    assert components.join("xor", components.split_xor(key, 4)) == key
    shares = components.split(key, 5, 3)
    assert components.join("slip39", shares) == components.join("slip39", shares[2:]) == key
    with pytest.raises(BadPart, match="when there are 3"):
        components.join("slip39", shares[:2])
    with pytest.raises(BadPart, match="not of one key"):
        components.join("slip39", [*shares[:2], components.split(key, 5, 3)[2]])
    with pytest.raises(BadPart, match="not of one key"):  # enough are good, and one is not
        components.join("slip39", [*shares[:3], components.split(key, 5, 3)[3]])


def test_check_values_of_known_keys() -> None:
    zeros = bytes(16)
    assert components.kcv("3DES", zeros) == "8CA64D" and KNOWN_TEST_KCVS["3DES"]["8CA64D"] == "a key of zeros"
    assert components.kcv("SM4", zeros) == "9F1F7B"
    assert components.kcv("AES", zeros) == "66E94B"  # FIPS 197 key of zeros over zeros, in every table


@pytest.mark.parametrize(("typed", "says"), [
    ("0011 2233", "8 groups of 4 digits, 32 in all; these are 8"),
    ("0011 2233 4455 66O7 8899 AABB CCDD EEFF", "group 4"),
    ("0011 2233 4455 6677 8899 AABB CCDD EEFF 00", "these are 34"),
    ("", "these are 0"),
    ("零零11 2233 4455 6677 8899 AABB CCDD EEFF", "group 1"),
])  # fmt: skip
def test_a_component_that_cannot_be_one_names_the_place(typed: str, says: str) -> None:
    with pytest.raises(BadPart, match=says):
        components.parse("xor", typed)


def test_groups_hyphens_and_small_letters_are_one_component() -> None:
    wanted = "00112233445566778899AABBCCDDEEFF"
    for typed in ("0011 2233 4455 6677 8899 aabb ccdd eeff", "0011-2233-4455-6677-8899-AABB-CCDD-EEFF", wanted):
        assert components.parse("xor", typed) == wanted


def test_any_wrong_word_of_a_share_is_found_and_none_is_quoted() -> None:
    share = components.split(components.draw(), 3, 2)[0]
    words = share.split()
    assert components.parse("slip39", " ".join(components.show("slip39", share))) == share
    assert components.parse("slip39", " ".join(word[:4].upper() for word in words)) == share
    for at in range(len(words)):
        other = "academic" if words[at] != "academic" else "zero"
        with pytest.raises(BadPart, match="checksum") as refusal:
            components.parse("slip39", " ".join([*words[:at], other, *words[at + 1 :]]))
        assert not any(word in str(refusal.value).split() for word in words)
        assert refusal.value.__cause__ is None and refusal.value.__context__ is None
        with pytest.raises(BadPart, match=f"word {at + 1} is none"):
            components.parse("slip39", " ".join([*words[:at], "qqqq", *words[at + 1 :]]))
    with pytest.raises(BadPart, match="these are 19"):
        components.parse("slip39", " ".join(words[1:]))


def test_any_wrong_digit_of_a_component_is_found_by_its_check_value() -> None:
    part = PARTS[0].hex().upper()
    wanted = components.kcv("3DES", PARTS[0])
    for at in range(32):
        wrong = part[:at] + "0123456789ABCDEF"[(int(part[at], 16) + 2) % 16] + part[at + 1 :]
        with pytest.raises(WrongCheckValue):  # +2: the lowest bit of a byte is DES's parity, which counts for nothing
            components.check_kcv(wanted, "3DES", bytes.fromhex(wrong), "part")


def without(name: str) -> Change:
    def change(plan: dict[str, Any]) -> None:
        del plan[name]

    return change


def person(at: int, **fields: Any) -> Change:
    def change(plan: dict[str, Any]) -> None:
        plan["persons"][at].update(fields)

    return change


def key(at: int, **fields: Any) -> Change:
    def change(plan: dict[str, Any]) -> None:
        plan["keys"][at].update(fields)

    return change


@pytest.mark.parametrize(("change", "error", "says"), [
    (person(3, roles=["custodian", "hsm_admin"]), RuleBroken, "custodian and HSM administrator"),
    (person(3, roles=["custodian", "auditor"]), RuleBroken, "different persons"),
    (person(0, roles=["master", "witness"]), RuleBroken, "different persons"),
    (person(0, roles=["hsm_admin"]), RuleBroken, "one master; this plan has 0"),
    (person(3, roles=["auditor"]), RuleBroken, "one auditor; this plan has 2"),
    (person(3, roles=[]), BadPlan, "roles are of"),
    (person(3, number="n c2"), RuleBroken, "NC2 stands there twice"),
    (person(3, id="c2"), RuleBroken, "c2 stands there twice"),
    (key(0, custodians=["c1", "c1", "c3"]), RuleBroken, "one person would hold two parts"),
    (key(0, custodians=["c1", "c2"]), RuleBroken, "3 custodians or more"),
    (key(0, custodians=["c1", "c2", "a"]), RuleBroken, "a is no custodian"),
    (key(0, kcv="12345"), BadPlan, "6 digits"),
    (key(0, threshold=2), BadPlan, "only slip39"),
    (key(1, threshold=4), RuleBroken, "no more than it has custodians"),
    (key(1, threshold=1), RuleBroken, "2 or more"),
    (key(1, custodians=["c1", "c2"]), RuleBroken, "split among 3"),
    (key(1, kcv="123456"), BadPlan, "no check value yet"),
    (key(2, custodians=["c1", "c2", "c3"]), BadPlan, "made unseen"),
    (key(0, envelopes={"c9": "E"}), BadPlan, "holds no part"),
    (key(0, envelopes={"c1": "E", "c2": "E"}), RuleBroken, "E stands there twice"),
    (key(0, version=256), BadPlan, "version is 0 to 255"),
    (key(0, version=True), BadPlan, "version is missing"),
    (key(0, subject="6100FFFFFFFFFFFF"), BadPlan, "level nation has no subject"),
    (key(0, level="issuer"), BadPlan, "its subject is an issuer identifier"),
    (key(0, algorithm="AES"), BadPlan, "a tac key is of 3DES or SM4"),
    (key(2, level="nation"), BadPlan, "a control key is of level chip"),
    (key(0, purpose="pin"), BadPlan, "purpose is one of"),
    (key(0, key_id="../x"), BadPlan, "key_id has letters"),
    (key(1, key_id="tac-1"), RuleBroken, "tac-1 stands there twice"),
    (key(1, purpose="tac", algorithm="3DES"), BadPlan, "belong to one key"),
    (without("persons"), BadPlan, "persons is missing"),
    (without("keys"), BadPlan, "keys is missing"),
    (lambda plan: plan.update(keys=[]), BadPlan, "names no key"),
    (lambda plan: plan.update(date="21.11.2026"), BadPlan, "date is a day"),
    (lambda plan: plan.update(test="yes"), BadPlan, "test is missing"),
    (lambda plan: plan["title"].update(zh="a\nb"), BadPlan, "printable"),
])  # fmt: skip
def test_a_plan_that_breaks_a_rule_is_refused_by_name(change: Change, error: type[Exception], says: str) -> None:
    plan = content()
    change(plan)
    with pytest.raises(error, match=says):
        plan_of(plan)


def test_a_file_that_is_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with pytest.raises(BadPlan, match="does not exist"):
        ceremony_plan.read(path)
    for text in (b"{", b"\xff", b"[]", b"7"):
        path.write_bytes(text)
        with pytest.raises(BadPlan):
            ceremony_plan.read(path)


def test_a_whole_ceremony(room: Room) -> None:
    ceremony = room.begin()
    room.finish()
    assert room.backend.values["tac-1"] == WHOLE
    assert {key_id: info.state for key_id, info in room.backend.rows.items()} == dict.fromkeys(
        ("tac-1", "load-1", "control-1"), ACTIVE
    )
    record = ceremony.record()
    assert record["keys"][0]["kcv"] == components.kcv("3DES", WHOLE)
    assert [part["confirmed"] for part in record["keys"][0]["parts"]] == [["a", "w"]] * 3
    assert record["video"] == "tape 4" and record["closed_s"]


def test_every_part_is_confirmed_by_two_before_the_next_is_entered(room: Room) -> None:
    room.begin()
    kinds = []
    while (step := room.ceremony.step()).kind != module.DONE:
        if step.key_id == "tac-1":
            kinds.append((step.kind, step.who))
        room.do()
    part = [("confirm_part", "a"), ("confirm_part", "w")]
    assert kinds == [
        *[("enter", "c1"), *part, ("enter", "c2"), *part, ("enter", "c3"), *part],
        *[("join", "m"), ("confirm_key", "a"), ("confirm_key", "w"), ("keep", "m")],
    ]


class Cut(BaseException):
    """The power goes."""


def test_wherever_it_is_cut_it_resumes_to_the_same_keys(
    tmp_path: Path, cheap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each replacement of the file, before and after it; and each word from the backend that never came back."""
    real_replace, cuts = os.replace, 0
    for when in ("before", "after"):
        for at in range(1000):
            folder = tmp_path / f"{when}-{at}"
            folder.mkdir()
            room = Room(folder)
            left = [at]

            def replace(source: Path, target: Path, left: list[int] = left, when: str = when) -> None:
                left[0] -= 1
                if left[0] == -1 and when == "before":
                    raise Cut
                real_replace(source, target)
                if left[0] == -1:
                    raise Cut

            monkeypatch.setattr(os, "replace", replace)
            try:
                room.begin()
                room.finish()
                assert left[0] >= 0
                break
            except Cut:
                cuts += 1
            monkeypatch.setattr(os, "replace", real_replace)
            room.resume() if room.path.exists() else room.begin()
            room.finish()
            assert room.backend.values["tac-1"] == WHOLE
            record = room.ceremony.record()
            assert [each["kcv"] for each in record["keys"]] == [
                room.backend.rows[each].kcv for each in ("tac-1", "load-1", "control-1")
            ]
            assert all(len(part["confirmed"]) == 2 for each in record["keys"] for part in each["parts"])
    assert cuts > 80


def test_a_backend_that_did_it_and_never_answered(room: Room) -> None:
    room.begin()
    room.until(module.KEEP)
    for key_id, verb in (("tac-1", "put"), ("load-1", "put"), ("control-1", "make")):
        room.until(module.KEEP, key_id=key_id)
        done = getattr(Keeps, verb)

        def cut(*args: Any, done: Callable[..., Any] = done) -> NoReturn:
            done(room.backend, *args)
            raise Cut

        setattr(room.backend, verb, cut)
        with pytest.raises(Cut):
            room.do()
        delattr(room.backend, verb)
        room.resume()
    room.finish()
    assert room.backend.values["tac-1"] == WHOLE and len(room.backend.rows) == 3


def test_no_part_is_in_the_file_in_the_clear_and_none_at_all_when_the_key_is_kept(room: Room) -> None:
    room.begin()
    room.until(module.GIVE)
    room.ceremony.unlock("c1", "secret of c1")
    room.ceremony.part_to_copy()
    text = room.path.read_bytes()
    shares = [room.ceremony._open_part("load-1", each) for each in ("c1", "c2", "c3")]
    assert not any(share.encode() in text for share in shares)
    room.finish()
    assert all(part["sealed"] == "" for each in room.ceremony._body["keys"].values() for part in each["parts"].values())
    for raw in (room.path.read_bytes(), json.dumps(room.ceremony.record()).encode()):
        assert not any(share.encode() in raw for share in shares)
        for secret in (*PARTS, WHOLE, *room.backend.values.values()):
            assert secret not in raw and secret.hex().encode() not in raw.lower()


def test_the_old_file_is_overwritten(room: Room) -> None:
    room.begin()
    room.until(module.CONFIRM_PART)
    with room.path.open("rb") as old:
        room.do()
        assert set(old.read()) == {0}


def test_the_master_alone_opens_no_part(room: Room) -> None:
    room.begin()
    room.until(module.JOIN)
    room.resume()
    with pytest.raises(Locked, match="custodian c1"):
        room.ceremony.join()
    with pytest.raises(WrongPassphrase, match="custodian c1"):
        room.ceremony.unlock("c1", PASSPHRASE)


def test_a_part_does_not_open_in_the_place_of_another(room: Room) -> None:
    room.begin()
    room.until(module.JOIN)
    room.ceremony._parts("load-1").update(copy.deepcopy(room.ceremony._parts("tac-1")))
    with pytest.raises(Tampered):  # of the same custodian, for another key
        room.ceremony._open_part("load-1", "c1")
    parts = room.ceremony._parts("tac-1")
    parts["c1"]["sealed"], parts["c2"]["sealed"] = parts["c2"]["sealed"], parts["c1"]["sealed"]
    with pytest.raises(Tampered, match="entered again"):
        room.ceremony.join()


def test_each_changed_byte_of_the_file_is_found(room: Room) -> None:
    room.begin()
    room.until(module.CONFIRM_PART)
    raw = room.path.read_bytes()
    for at in range(len(raw)):
        for bit in (1, 0x80):
            room.path.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
            with pytest.raises(StateError):
                room.resume()
    for size in range(len(raw)):
        room.path.write_bytes(raw[:size])
        with pytest.raises(StateError):
            room.resume()
    room.path.write_bytes(raw)
    with pytest.raises(WrongPassphrase, match="not the passphrase of state.bin"):
        Ceremony.resume(room.path, "the ceremon", room.backend, room.clock)
    room.resume()


def entering(room: Room) -> Ceremony:
    room.begin()
    return room.until(module.ENTER)


def test_what_is_typed_wrong_is_refused_minuted_and_changes_nothing(room: Room) -> None:
    ceremony = entering(room)
    good, kcv = PARTS[0].hex(), components.kcv("3DES", PARTS[0])
    for typed, value, envelope, error in (
        (good[:-1], kcv, "E-1", BadPart),
        (good[:-2] + "00", kcv, "E-1", WrongCheckValue),
        (good, "00000", "E-1", BadPart),
        (good, "000000", "E-1", WrongCheckValue),
        (good, kcv, "E-2", Disagreed),
        (good, kcv, "", BadPart),
    ):
        with pytest.raises(error) as refusal:
            ceremony.enter(typed, value, envelope)
        assert good not in str(refusal.value)
        assert room.resume().step().kind == module.ENTER
        room.ceremony.unlock("c1", "secret of c1")
        ceremony = room.ceremony
    refused = [event["note"] for event in ceremony.record()["events"] if event["what"] == "refused_part"]
    assert refused == ["BadPart", "WrongCheckValue", "BadPart", "WrongCheckValue", "Disagreed", "BadPart"]
    room.finish()
    assert room.backend.values["tac-1"] == WHOLE


def test_two_custodians_with_the_same_part(room: Room) -> None:
    ceremony = entering(room)
    for _ in range(3):
        room.do()
    with pytest.raises(EqualParts, match="custodian c2 typed what another"):
        ceremony.enter(PARTS[0].hex(), components.kcv("3DES", PARTS[0]), "E-2")


def test_a_check_value_that_one_of_the_two_denies_is_entered_again(room: Room) -> None:
    ceremony = entering(room)
    for _ in range(2):
        room.do()
    ceremony.confirm(False)
    assert ceremony.step().kind == module.ENTER and ceremony.step().custodian == "c1"
    room.until(module.CONFIRM_KEY, key_id="tac-1")
    ceremony.confirm(False)
    assert ceremony.step().kind == module.ENTER and "tac-1" not in room.backend.rows
    room.until(module.CONFIRM_PART, key_id="load-1")
    shown = ceremony._open_part("load-1", "c1")
    ceremony.confirm(False)
    assert ceremony.step().kind == module.GIVE and ceremony._open_part("load-1", "c1") == shown
    room.finish()


def test_a_whole_that_is_not_the_planned_key_starts_its_parts_again(tmp_path: Path, cheap: None) -> None:
    plan = content()
    plan["keys"][0]["kcv"] = "ABCDEF"
    room = Room(tmp_path, plan)
    room.begin()
    room.until(module.JOIN)
    with pytest.raises(WrongCheckValue, match="the plan has ABCDEF"):
        room.ceremony.join()
    assert room.resume().step().kind == module.ENTER and room.backend.rows == {}


def test_a_part_that_the_plan_knows_by_another_check_value(tmp_path: Path, cheap: None) -> None:
    plan = content()
    plan["keys"][0]["part_kcvs"] = {"c1": "ABCDEF"}
    ceremony = entering(Room(tmp_path, plan))
    with pytest.raises(WrongCheckValue, match="not ABCDEF"):
        ceremony.enter(PARTS[0].hex(), components.kcv("3DES", PARTS[0]), "E-1")


def test_a_new_part_typed_back_wrong(room: Room) -> None:
    room.begin()
    room.until(module.GIVE)
    room.ceremony.unlock("c1", "secret of c1")
    room.ceremony.part_to_copy()
    other = components.split(components.draw(), 3, 2)[0]
    kcv = components.kcv("SM4", components.value_of("slip39", other))
    with pytest.raises(Disagreed, match="not the part that was shown"):
        room.ceremony.enter(other, kcv, "S")
    with pytest.raises(BadPart, match="one of 3; the plan has 2"):
        room.ceremony.enter(components.split(components.draw(), 3, 3)[0], kcv, "S")


def test_a_wrong_device(room: Room) -> None:
    room.begin()
    room.until(module.DEVICE)
    with pytest.raises(Disagreed, match="SN-77"):
        room.ceremony.device("SN-78")
    assert room.ceremony.step().kind == module.DEVICE


def test_steps_out_of_turn(room: Room) -> None:
    ceremony = room.begin()
    for call in (
        lambda: ceremony.enter("", "", ""), ceremony.join, ceremony.keep, lambda: ceremony.confirm(True),
        lambda: ceremony.attend("c3", "secret"), lambda: ceremony.device("SN-77"), ceremony.part_to_copy,
        lambda: ceremony.close("v"), lambda: ceremony.unlock("c1", "x"),
    ):  # fmt: skip
        with pytest.raises(OutOfTurn):
            call()


def test_production_takes_no_test_key_and_no_test_vault(tmp_path: Path, cheap: None) -> None:
    with pytest.raises(MixedKeys, match="a production ceremony, and keys for test"):
        Room(tmp_path, content(test=False), Keeps(test=True)).begin()
    with pytest.raises(MixedKeys, match="a test ceremony, and keys for production"):
        Room(tmp_path, content(test=True), Keeps(test=False)).begin()
    room = Room(tmp_path, content(test=False), Keeps(test=False))
    with pytest.raises(MixedKeys, match="at random"):
        Ceremony.begin(room.path, room.plan, room.backend, PASSPHRASE, room.clock, lambda what: bytes(16))
    ceremony = entering(room)
    with pytest.raises(MixedKeys, match="8CA64D.*a key of zeros"):
        ceremony.enter("00" * 16, "8CA64D", "E-1")
    room.finish()
    with pytest.raises(MixedKeys):
        Ceremony.resume(room.path, PASSPHRASE, Keeps(test=True), room.clock)


def test_production_refuses_parts_that_make_a_known_key(
    tmp_path: Path, cheap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = content(test=False)
    known = bytes.fromhex("0123456789ABCDEF0123456789ABCDEF")
    last = bytes(a ^ b ^ c for a, b, c in zip(PARTS[0], PARTS[1], known, strict=True))
    monkeypatch.setattr(ceremony_room, "PARTS", [*PARTS[:2], last])
    plan["keys"][0]["kcv"] = ""
    room = Room(tmp_path, plan, Keeps(test=False))
    room.begin()
    room.until(module.JOIN)
    with pytest.raises(MixedKeys, match="D5D44F.*no production key"):
        room.ceremony.join()
    assert room.ceremony.step().kind == module.ENTER and not room.backend.rows


def test_abort_leaves_nothing_wherever_it_comes_and_wherever_it_is_cut(tmp_path: Path, cheap: None) -> None:
    at = 0
    while True:
        folder = tmp_path / str(at)
        folder.mkdir()
        room = Room(folder)
        room.begin()
        for _ in range(at):
            if room.ceremony.step().kind != module.CLOSE:
                room.do()
        last = room.ceremony.step().kind == module.CLOSE
        with pytest.MonkeyPatch.context() as power, pytest.raises(Cut):
            power.setattr(ceremony_file.StateFile, "remove", cut)
            room.ceremony.abort()
        with pytest.raises(module.CeremonyError, match="being aborted"):
            room.resume().step()
        room.ceremony.abort()
        assert not list(folder.iterdir()) and room.backend.values == {}
        assert {info.state for info in room.backend.rows.values()} <= {DESTROYED}
        if last:
            break
        at += 1
    assert at > 25


def cut(file: object) -> NoReturn:
    raise Cut


def test_a_closed_ceremony_is_not_aborted(room: Room) -> None:
    room.begin()
    room.finish()
    with pytest.raises(module.CeremonyError, match="closed"):
        room.ceremony.abort()


def test_the_next_version_of_a_key_of_cards_waits_for_its_roll(tmp_path: Path, cheap: None) -> None:
    """Cards would be made with it at once, and no PSAM has it yet."""
    plan = content()
    for row in plan["keys"]:
        row["version"] = 2
    backend = Keeps()
    backend.make(KeyInfo("tac-0", "tac", "3DES", "nation", "", ""))
    backend.make(KeyInfo("control-0", "control", "AES", "chip", "", ""))
    room = Room(tmp_path, plan, backend)
    room.begin()
    room.finish()
    states = {key_id: backend.rows[key_id].state for key_id in ("tac-1", "load-1", "control-1")}
    assert states == {"tac-1": GENERATED, "load-1": ACTIVE, "control-1": ACTIVE}


def test_a_key_that_is_there_already_under_another_name_is_no_new_one(tmp_path: Path, cheap: None) -> None:
    """The envelopes of the purchase key, or of the version before: who has one key would have both."""
    backend = Keeps()
    backend.put(KeyInfo("purchase-1", "purchase", "3DES", "nation", "", components.kcv("3DES", WHOLE)), WHOLE)
    room = Room(tmp_path, None, backend)
    room.begin()
    ceremony = room.until(module.JOIN)
    with pytest.raises(EqualParts, match="purchase-1"):
        ceremony.join()
    assert ceremony.step().kind == module.ENTER and ceremony.record()["keys"][0]["parts"] == []


def test_a_key_that_somebody_put_there_meanwhile_is_not_taken_for_the_one_made_unseen(room: Room) -> None:
    """Whoever has the token's PIN could know the key: it has no check value yet that two people read."""
    room.begin()
    ceremony = room.until(module.KEEP, key_id="control-1")
    room.backend.put(KeyInfo("control-1", "control", "AES", "chip", "", components.kcv("AES", WHOLE)), WHOLE)
    for _ in range(2):
        with pytest.raises(WrongBackend, match="control-1"):
            ceremony.keep()
    with pytest.raises(WrongBackend, match="control-1"):
        room.resume()


def test_a_production_ceremony_that_is_resumed_draws_at_random(tmp_path: Path, cheap: None) -> None:
    room = Room(tmp_path, content(test=False), Keeps(test=False))
    room.begin()
    with pytest.raises(MixedKeys, match="at random"):
        Ceremony.resume(room.path, PASSPHRASE, room.backend, room.clock, lambda what: bytes(16))


def test_the_wrong_backend(room: Room, tmp_path: Path) -> None:
    room.begin()
    room.until(module.ENTER)
    room.until(module.GIVE)
    right, room.backend = room.backend, Keeps()
    with pytest.raises(WrongBackend, match="tac-1 .* is not there"):
        room.resume()
    with pytest.raises(WrongBackend, match="tac-1 .* is there already"):
        Ceremony.begin(tmp_path / "other", room.plan, right, PASSPHRASE, room.clock)
    assert right.rows["tac-1"].state == GENERATED


def test_a_lost_passphrase_costs_what_it_protects_and_no_more(room: Room) -> None:
    room.begin()
    room.until(module.JOIN)
    room.ceremony.forget("c2")
    room.resume()
    assert room.ceremony.step() == module.Step(module.ATTEND, "c2")
    room.do()
    assert room.ceremony.step() == module.Step(module.ENTER, "c2", "tac-1", "c2")
    room.finish()
    assert room.backend.values["tac-1"] == WHOLE


def test_one_program_at_a_time(room: Room) -> None:
    with ceremony_file.locked(room.path), pytest.raises(ceremony_file.InUse):
        with ceremony_file.locked(room.path):
            pass
    with ceremony_file.locked(room.path):
        pass


def test_a_file_in_the_way_and_short_passphrases(tmp_path: Path, cheap: None) -> None:
    room = Room(tmp_path)
    room.begin()
    with pytest.raises(StateError, match="exists already"):
        room.begin()
    plan = content(test=False)
    room = Room(tmp_path, plan, Keeps(test=False))
    room.path = tmp_path / "production"
    with pytest.raises(StateError, match="8 characters"):
        Ceremony.begin(room.path, room.plan, room.backend, "seven77", room.clock)
    assert not room.path.exists()
    room.begin()
    for each in ("m", "a", "w"):
        room.ceremony.attend(each)
    with pytest.raises(StateError, match="8 characters"):
        room.ceremony.attend("c1", "short")


def test_the_plan_in_the_file_is_the_plan(room: Room) -> None:
    room.begin()
    assert room.resume().plan == room.plan == plan_of(copy.deepcopy(content()))
