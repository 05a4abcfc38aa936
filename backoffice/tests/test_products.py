"""What a regional application paid: proved by its own keys, settled in its province, told apart from the national."""

import json
from pathlib import Path

import pytest

from backoffice.clearing.close import Closing, clear_day
from backoffice.clearing.product import OUT_OF_REGION, UNVERIFIED_LEGACY
from backoffice.keys import load, vault
from backoffice.keys.soft import open_keys
from backoffice.keys.vault import KeyInfo, VaultError, kcv
from backoffice.tests import forge
from backoffice.tests.forge import DAY, DAY_S, MTK, NEXT_DAY, PASSPHRASE, SAMPLES, City, Validator
from tunion import bcd
from tunion.card.product import of_product
from tunion.crypto import keys
from tunion.wire import tap

LEGACY_MTK = bytes.fromhex("E5E5E5E5F6F6F6F60707070718181818")  # invented: one level above the card's
ISSUER = bytes.fromhex("10209901FFFFFFFF")
CARD = bytes.fromhex("00009901000000000017")
EVENT = of_product(1, 0)
FACTS = {"issuer": "legacy", "card": CARD, "event": EVENT}


@pytest.fixture(autouse=True)
def _legacy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(forge.ISSUERS, "legacy", ISSUER)


@pytest.fixture
def province(tmp_path: Path) -> City:
    return City(tmp_path, registry=registry(tmp_path, "99"))


def registry(folder: Path, of_issuer: str) -> Path:
    """The two cities, and the issuer of the regional cards in province `of_issuer`."""
    found = json.loads((SAMPLES / "two_cities.json").read_text())
    found["orgs"].append({"org": "10209901", "name_zh": "旧卡公司(虚构)", "name_en": "Old Card Co. (invented)",
                          "city": "9901" if of_issuer == "99" else "9801", "province": of_issuer})  # fmt: skip
    found["issuers"].append({"issuer_id": ISSUER.hex().upper(), "org": "10209901"})
    rule = {"rule_id": "nation-1", "level": "nation", "charge_rate": 900, "issuer_rate": 400, "acquirer_rate": 300}
    found["fee_rules"].append(rule)
    path = folder / "registry.json"
    path.write_text(json.dumps(found))
    return path


def legacy_tap(bus: Validator, seq: int, master: bytes = LEGACY_MTK, **changed: object) -> bytes:
    """As the regional card proves it: its key is one step below the master's."""
    fields = {"amount_fen": 200, "type": keys.PURCHASE, "at_s": forge.NOON_S - 3600 + seq, "terminal_seq": 1000 + seq}
    fields.update({name: value for name, value in changed.items() if name in fields})  # type: ignore[misc]
    at = bcd.stamp(int(str(fields.pop("at_s"))))
    suite = keys.suite(0)
    card_key = suite.diversify(master, keys.card_factor(CARD))
    tac = suite.mac(suite.tac_key(card_key), keys.PURCHASE_TAC.pack(**fields, terminal=bus.terminal, at=at))
    return bus.tap(seq, **{**FACTS, "tac": tac, **changed})


def give_keys(city: City, folder: Path, subject: str = "1:" + ISSUER.hex().upper()) -> None:
    row = {"key_id": "tac-old", "purpose": "tac", "algorithm": "3DES", "level": "issuer", "subject": subject}
    path = folder / "legacy_keys.json"
    path.write_text(json.dumps({"test": True, "keys": [{**row, "value": LEGACY_MTK.hex()}]}))
    load.add_test_keys(vault.open_vault(city.vault, PASSPHRASE), path)
    city.keys = open_keys(city.vault, PASSPHRASE, production=False)


def clear(city: City, day: str = DAY) -> Closing:
    return clear_day(city.store, city.keys, day, city.now_s)


def test_without_keys_it_is_held_by_name_and_clears_once_they_have_come(province: City, tmp_path: Path) -> None:
    bus = Validator(province)
    bus.send([legacy_tap(bus, 1)])
    clear(province)
    assert province.states() == [("SUSPECT", UNVERIFIED_LEGACY)]
    assert province.rows("SELECT code, amount_fen FROM anomaly WHERE closed_at_s IS NULL") == [(UNVERIFIED_LEGACY, 200)]

    give_keys(province, tmp_path)
    province.now_s += DAY_S
    assert clear(province, NEXT_DAY).problems == []
    assert province.states() == [("CLEARED", NEXT_DAY)]


def test_the_national_root_says_nothing_of_a_regional_record(province: City, tmp_path: Path) -> None:
    """Its TAC under the national keys would be right: those are not the keys of that card."""
    bus = Validator(province)
    bus.send([bus.tap(1, **FACTS)])
    clear(province)
    assert province.states() == [("SUSPECT", UNVERIFIED_LEGACY)]
    give_keys(province, tmp_path)
    clear(province)
    assert province.states() == [("SUSPECT", "TX-06")]


def test_settlement_lines_tell_the_products_apart(province: City, tmp_path: Path) -> None:
    give_keys(province, tmp_path)
    bus = Validator(province)
    bus.send([legacy_tap(bus, 1), legacy_tap(bus, 2, counter=13), bus.tap(3)])
    assert clear(province).problems == []
    assert province.rows("SELECT level, payer, product, count FROM settle_line ORDER BY product") == [
        ("city", "09990100", 0, 1),
        ("city", "10209901", 1, 2),
    ]
    again = clear(province)
    assert (again.problems, again.new_records) == ([], 0)  # the run proves itself from what is stored


def test_one_issuer_with_both_products_has_a_line_of_each(province: City, tmp_path: Path) -> None:
    forge.ISSUERS["legacy"] = forge.ISSUERS["alder"]
    give_keys(province, tmp_path, "1:" + forge.ISSUERS["alder"].hex().upper())
    bus = Validator(province)
    bus.send([legacy_tap(bus, 1), bus.tap(2)])
    assert clear(province).problems == []
    assert province.rows("SELECT payer, product, count FROM settle_line ORDER BY product") == [
        ("09990100", 0, 1),
        ("09990100", 1, 1),
    ]


def test_it_never_takes_the_national_path(tmp_path: Path) -> None:
    city = City(tmp_path, registry=registry(tmp_path, "98"))
    give_keys(city, tmp_path)
    bus = Validator(city)
    bus.send([legacy_tap(bus, 1), bus.tap(2, issuer="legacy")])
    clear(city)
    assert city.states() == [("SUSPECT", OUT_OF_REGION), ("CLEARED", DAY)]
    assert city.rows("SELECT level, product FROM settle_line") == [("nation", 0)]


def test_both_applications_of_a_card_may_spend_the_same_counter_under_the_same_number(
    province: City, tmp_path: Path
) -> None:
    give_keys(province, tmp_path)
    bus = Validator(province)
    bus.send([legacy_tap(bus, 1, counter=40), bus.tap(2, card=CARD, counter=40)])
    assert clear(province).problems == []
    assert [state for state, _ in province.states()] == ["CLEARED", "CLEARED"]
    bus.send([legacy_tap(bus, 3, counter=40)])
    assert province.states()[2] == ("HELD", "TX-03")


def test_a_grey_record_is_settled_by_the_next_purchase_of_its_own_application_alone(
    province: City, tmp_path: Path
) -> None:
    give_keys(province, tmp_path)
    bus = Validator(province)
    grey = bus.tap(1, **FACTS, outcome=tap.GREY, counter=40, balance_fen=5000)
    bus.send([grey, bus.tap(2, card=CARD, counter=41, balance_fen=4800)])
    clear(province)
    assert province.states()[0] == ("GREY", "TX-20")
    bus.send([legacy_tap(bus, 3, counter=41, balance_fen=4800)])
    clear(province)
    assert province.states()[0] == ("CLEARED", DAY)
    assert province.rows("SELECT proof FROM txn ORDER BY id")[0] == ("chain",)


def test_kind_04_is_the_national_mark_of_a_test_card(province: City, tmp_path: Path) -> None:
    give_keys(province, tmp_path)
    bus = Validator(province)
    bus.send([legacy_tap(bus, 1, card_kind=4)])
    clear(province)
    assert province.rows("SELECT test, product FROM settle_line") == [(0, 1)]


@pytest.mark.parametrize("subject", ["0:" + "1" * 16, "16:" + "1" * 16, "x:" + "1" * 16, "1:", "1:" + "1" * 15])
def test_a_key_names_its_product_from_1_to_15(province: City, subject: str) -> None:
    found = vault.open_vault(province.vault, PASSPHRASE)
    for level in ("issuer", "province"):
        info = KeyInfo("new", "tac", "3DES", level, subject, kcv("3DES", LEGACY_MTK))
        with pytest.raises(VaultError):
            found.add(info, LEGACY_MTK)
    assert MTK != LEGACY_MTK
