"""A roll-over in its order: nothing is made too early or retired too soon, and every old transaction verifies."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from backoffice.keys import audit, backend, hierarchy, vault
from backoffice.keys.backend import KeyInfo, KeysError
from backoffice.keys.keyring import Keyring
from backoffice.keys.roll import AFTER_LIFE_S, CARD_LIFE_S, Needs, NotYet, Roll, TwoPersons
from backoffice.keys.service import NO_KEY, OK, NoKey, TacRequest
from backoffice.keys.vault import KeyFile, Vault
from backoffice.tests.test_keys import VECTOR
from tunion import bcd
from tunion.crypto.keys import PURCHASE_TAC, card_factor

SECRET = KeyFile(bytes(32))
ISSUERS = ("04026110FFFFFFFF", "09990100FFFFFFFF")
NOW_S = 1_800_000_000
OLD = some.booleans()  # whether the version before verifies only


class Office:
    """A vault with purchase and TAC keys of two levels, its clock and its registry's counts."""

    def __init__(self, folder: Path) -> None:
        self.now_s = NOW_S
        self.vault: Vault = vault.create(folder / "v", SECRET, test=True)
        self.needs: dict[tuple[str, int], Needs] = {}
        self.service = Keyring(self.vault, clock=lambda: self.now_s)
        self.audit = audit.Audit(audit.beside(self.vault.path), "test", lambda: self.now_s)
        for purpose in ("purchase", "tac"):
            self.vault.make(KeyInfo(purpose, purpose, "3DES", "nation", "", ""))
            issuer = KeyInfo(f"{purpose}-own", purpose, "3DES", "issuer", ISSUERS[0], "")
            self.vault.derive(purpose, bytes.fromhex(ISSUERS[0]), issuer)

    def roll(self, user: str = "wang") -> Roll:
        return Roll(
            self.vault, lambda purpose, _, version: self.needs.get((purpose, version), Needs(0, 0)), user, self.audit,
            clock=lambda: self.now_s,
        )  # fmt: skip

    def states(self, purpose: str, version: int) -> set[str]:
        return {row.state for row in self.vault.infos() if (row.purpose, row.version) == (purpose, version)}

    def to_cards(self, version: int) -> None:
        """The whole way of a new version into cards."""
        roll = self.roll()
        roll.make(("purchase", "tac"))
        for purpose in ("purchase", "tac"):
            roll.activate(purpose, "3DES", version)
        roll.issue(version)

    def purchase(self, issuer: str, number: int, version: int) -> TacRequest:
        """As a card of that version proves it."""
        card = bytes.fromhex(f"{3100000000000000000 + number:020d}")
        bare = VECTOR._replace(issuer=bytes.fromhex(issuer), card=card, version=version, at_s=self.now_s, tac=bytes(4))
        path = self.service.path("tac", "3DES", version, bare.issuer, card_factor(card))
        return bare._replace(tac=self.service.tac(path, message_of(bare)))


def message_of(request: TacRequest) -> bytes:
    return PURCHASE_TAC.pack(
        amount_fen=request.amount_fen, type=request.type, terminal=request.terminal,
        terminal_seq=request.terminal_seq, at=bcd.stamp(request.at_s),
    )  # fmt: skip


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_the_next_version_goes_down_the_hierarchy_and_is_not_in_use(office: Office) -> None:
    made = office.roll().make(("purchase", "tac"))
    assert [(info.key_id, info.version, info.state, info.parent) for info in made] == [
        ("purchase-v2", 2, "generated", ""),
        ("purchase-own-v2", 2, "generated", "purchase-v2"),
        ("tac-v2", 2, "generated", ""),
        ("tac-own-v2", 2, "generated", "tac-v2"),
    ]
    own, top = office.vault.info("tac-own-v2"), backend.KeyPath("tac-v2", (bytes.fromhex(ISSUERS[0]),))
    assert own.kcv == office.service.kcv(top) != office.vault.info("tac-own").kcv
    with pytest.raises(NoKey, match="generated"):
        office.service.path("tac", "3DES", 2, bytes.fromhex(ISSUERS[0]))
    assert office.roll().make(("purchase", "tac")) == []  # begun already: not a third one
    assert {info.version for info in office.vault.infos()} == {1, 2}


def test_a_roll_that_was_interrupted_goes_on(office: Office) -> None:
    top = office.vault.make(KeyInfo("tac-ceremony", "tac", "3DES", "nation", "", "", version=2, state="generated"))
    made = office.roll().make(("tac",))
    assert [(info.key_id, info.parent) for info in made] == [("tac-own-v2", top.key_id)]


def test_cards_wait_until_every_sam_has_the_version(office: Office) -> None:
    roll, issuer = office.roll(), bytes.fromhex(ISSUERS[0])
    roll.make(("purchase", "tac"))
    roll.activate("purchase", "3DES", 2)
    with pytest.raises(NotYet, match="go together"):
        roll.issue(2)
    roll.activate("tac", "3DES", 2)
    assert office.service.versions_for_sams("purchase", "3DES", issuer) == [1, 2]
    assert office.service.version_for_cards("purchase", "3DES", issuer) == 1
    office.needs["purchase", 2] = Needs(cards=0, sams_without=3)
    with pytest.raises(NotYet, match="3 SAMs"):
        roll.issue(2)
    assert office.service.version_for_cards("purchase", "3DES", issuer) == 1
    office.vault.make(KeyInfo("control", "control", "AES", "chip", "", ""))
    control = office.service.path("control", "AES", 1, b"", bytes(8))
    into_sam = backend.KeyPath("purchase-v2")
    into_cards = [office.service.path(purpose, "3DES", 2, issuer, bytes(8)) for purpose in ("purchase", "tac")]
    office.service.wrap(control, into_sam)
    for path in into_cards:
        with pytest.raises(NoKey, match="every SAM"):
            office.service.wrap(control, path)
    office.needs.clear()
    assert {info.purpose for info in roll.issue(2)} == {"purchase", "tac"}
    assert office.service.version_for_cards("purchase", "3DES", issuer) == 2
    assert roll.issue(2) == []
    for path in into_cards:
        office.service.wrap(control, path)


def test_an_old_version_stays_while_a_card_or_a_sam_needs_it(office: Office) -> None:
    roll = office.roll()
    for step in (roll.verify_only, roll.retire):
        with pytest.raises(NotYet):
            step("purchase", "3DES", 1)
    office.to_cards(2)
    for needs, word in (
        ({("purchase", 1): Needs(cards=7, sams_without=0)}, "7 cards"),
        ({("purchase", 2): Needs(cards=0, sams_without=1)}, "1 SAMs"),
    ):
        office.needs = needs
        for force in (False, True):
            with pytest.raises(NotYet, match=word):
                roll.retire("purchase", "3DES", 1, second="li", force=force, reason="a try")
    office.needs = {}
    assert office.states("purchase", 1) == {"active"}
    roll.retire("purchase", "3DES", 1)
    assert office.states("purchase", 1) == {"retired"} and office.states("purchase", 2) == {"active"}


def test_a_tac_key_verifies_for_a_cards_life_and_two_years(office: Office) -> None:
    paid = office.purchase(ISSUERS[0], 1, 1)
    office.to_cards(2)
    roll = office.roll()
    with pytest.raises(NotYet, match="verifies only"):
        roll.retire("tac", "3DES", 1)
    roll.verify_only("tac", "3DES", 1)
    ends_s = NOW_S + CARD_LIFE_S + AFTER_LIFE_S
    assert {row.retires_s for row in office.vault.infos() if row.state == "verify_only"} == {ends_s}
    office.now_s = ends_s - 1
    assert office.service.tac_verify_batch([paid]) == [OK]
    with pytest.raises(NotYet, match="--force"):
        roll.retire("tac", "3DES", 1)
    with pytest.raises(TwoPersons):
        roll.retire("tac", "3DES", 1, force=True, reason="it must go")
    with pytest.raises(TwoPersons):
        roll.retire("tac", "3DES", 1, second=" Wang", force=True, reason="it must go")
    assert office.service.tac_verify_batch([paid]) == [OK]
    office.now_s = ends_s
    roll.retire("tac", "3DES", 1)
    assert office.service.tac_verify_batch([paid]) == [NO_KEY]
    with pytest.raises(TwoPersons):
        roll.destroy("tac", "", "over")
    assert [info.key_id for info in roll.destroy("tac", "li", "over")] == ["tac"]
    assert office.vault.info("tac").destroys_s == ends_s


def test_a_compromised_key_and_all_under_it_prove_only_what_was_before(office: Office) -> None:
    office.to_cards(2)
    before = [office.purchase(issuer, 1, version) for issuer in ISSUERS for version in (1, 2)]
    office.now_s += 1000
    after = [office.purchase(issuer, 2, version) for issuer in ISSUERS for version in (1, 2)]
    assert office.service.tac_verify_batch(before + after) == [OK] * 8
    roll = office.roll()
    for second, reason, since_s in (("", "lost", NOW_S), ("li", " ", NOW_S), ("li", "lost", office.now_s + 1)):
        with pytest.raises(KeysError):
            roll.compromise("tac", since_s, second, reason)
    lost = roll.compromise("tac", NOW_S + 500, "li", "a drive was stolen")
    assert {info.key_id for info in lost} == {"tac", "tac-own"}
    expected = [OK, OK] * 2 + [NO_KEY, OK] * 2
    assert office.service.tac_verify_batch(before + after) == expected
    with pytest.raises(NoKey, match="compromised"):
        office.service.path("tac", "3DES", 1, bytes.fromhex(ISSUERS[1]))
    assert roll.compromise("tac", NOW_S + 900, "li", "again") == []  # a later date brings nothing back
    roll.compromise("tac", NOW_S - 1, "li", "it was earlier")
    assert office.service.tac_verify_batch(before + after) == [NO_KEY, OK] * 4
    with pytest.raises(NotYet, match="proves"):
        roll.destroy("tac", "li", "be rid of it")


def test_a_key_that_proved_nothing_proves_nothing_when_it_is_compromised(office: Office) -> None:
    """Else whoever has it could write records of an older day, and they would count."""
    old = office.purchase(ISSUERS[1], 1, 1)
    office.to_cards(2)
    new = office.purchase(ISSUERS[1], 1, 2)
    roll = office.roll()
    roll.make(("tac",))
    waiting = office.service.find("tac", "3DES", 3, bytes.fromhex(ISSUERS[1]), card_factor(new.card))
    above = waiting._replace(factors=waiting.factors[:-1])
    mac = office.vault.tacs(above, waiting.factors[-1:], [message_of(new)])[0]
    forged = new._replace(version=3, tac=mac)
    roll.verify_only("tac", "3DES", 1)
    roll.retire("tac", "3DES", 1, "li", True, "a test")
    assert office.service.tac_verify_batch([old, new, forged]) == [NO_KEY, OK, NO_KEY]
    office.now_s += 1000
    for key_id in ("tac", "tac-v3"):
        roll.compromise(key_id, office.now_s, "li", "a drive was stolen")
    assert office.service.tac_verify_batch([old, new, forged]) == [NO_KEY, OK, NO_KEY]


def test_nothing_is_derived_from_a_compromised_parent_when_a_roll_goes_on(office: Office) -> None:
    office.vault.make(KeyInfo("tac-other", "tac", "3DES", "issuer", ISSUERS[1], ""))
    office.vault.make(KeyInfo("tac-v2", "tac", "3DES", "nation", "", "", 2, state="generated"))
    office.vault.make(KeyInfo("tac-other-v2", "tac", "3DES", "issuer", ISSUERS[1], "", 2, state="generated"))
    roll = office.roll()
    roll.compromise("tac-v2", office.now_s, "li", "seen on a screen")
    with pytest.raises(NotYet, match="compromised"):
        roll.make(("tac",))
    assert "tac-own-v2" not in {row.key_id for row in office.vault.infos()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    rounds=some.lists(
        some.tuples(some.lists(some.tuples(some.sampled_from(ISSUERS), some.integers(1, 50)), max_size=4), OLD),
        min_size=1,
        max_size=4,
    )
)
def test_every_transaction_of_any_past_version_still_verifies(
    rounds: list[tuple[list[tuple[str, int]], bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Purchases with every version in cards, between rolls and half rolls; all of them after each step."""
    office = Office(tmp_path_factory.mktemp("roll"))
    paid: list[TacRequest] = []

    def all_verify() -> None:
        assert office.service.tac_verify_batch(paid) == [OK] * len(paid)

    version = 1
    for purchases, old_verifies_only in rounds:
        for issuer, number in purchases:
            used = {info.version for info in office.vault.infos() if (info.purpose, info.state) == ("tac", "active")}
            paid += [office.purchase(issuer, number, one) for one in sorted(used)]
        roll = office.roll()
        version += 1
        roll.make(("purchase", "tac"))
        all_verify()
        for purpose in ("purchase", "tac"):
            roll.activate(purpose, "3DES", version)
            all_verify()
        roll.issue(version)
        all_verify()
        if old_verifies_only:
            roll.verify_only("tac", "3DES", version - 1)
            roll.retire("purchase", "3DES", version - 1)
        office.now_s += 30 * 86400
        all_verify()
    reopened = vault.open_vault(office.vault.path, SECRET)
    assert Keyring(reopened).tac_verify_batch(paid) == [OK] * len(paid)


def test_who_did_what_is_in_the_audit(office: Office) -> None:
    office.to_cards(2)
    office.roll("li").compromise("tac", NOW_S, "wang", "a drive was stolen")
    head = audit.verify(office.audit.path)
    rows = audit.rows(office.audit.path)
    assert head.lines == len(rows)
    last = rows[-1]
    assert (last["op"], last["user"], last["second"], last["now"]) == ("state", "li", "wang", backend.COMPROMISED)
    assert {row["op"] for row in rows} == {"make", "state"}


def test_a_change_that_the_audit_does_not_take_is_not_made(office: Office) -> None:
    office.audit.path.mkdir()
    with pytest.raises(audit.AuditLost):
        office.roll().make(("tac",))
    assert {info.version for info in office.vault.infos()} == {1}


def test_versions_end_at_255(office: Office) -> None:
    office.vault.make(KeyInfo("last", "load", "3DES", "nation", "", "", version=255))
    with pytest.raises(KeysError, match="byte"):
        office.roll().make(("load",))
    with pytest.raises(KeysError, match="no 3DES unload"):
        office.roll().make(("unload",))
    with pytest.raises(KeysError):
        office.roll(" ")
    assert time.gmtime(hierarchy.NOT_IN_CARDS_S).tm_year == 2106
