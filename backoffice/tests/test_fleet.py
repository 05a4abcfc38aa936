"""A parameter set from a clerk's file to what devices download: two people, one signature, and clearing knows first."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from backoffice.clearing.close import clear_day
from backoffice.fleet import sets, spec, status
from backoffice.fleet.replay import replay
from backoffice.intake.server import app
from backoffice.keys import signing, vault
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import NoKey
from backoffice.keys.soft import open_keys
from backoffice.tests.forge import AUDIENCE, DAY, NOON_S, PASSPHRASE, City, Validator
from tunion import cose_sign1
from tunion.crypto import p256
from tunion.wire import manifest, params

KEY = "params"
SAMPLE: dict[str, Any] = {
    "name": "summer fares",
    "version": 2,
    "effective_at": NOON_S + 3600,
    "expires_at": "2026-06-01 04:00",
    "fare": {"version": 2, "fare_id": 1, "fare_fen": 250},
    "kinds": {"version": 1, "discounts": [[3, 500], [2, 300]]},
    "calendar": {"version": 1, "days": [[20251001, 2]]},
    "issuers": {"version": 1, "home": ["09990100"], "accepted": ["09990200", "09990100"]},
    "device": {
        "version": 1,
        "balance_max_fen": 500000,
        "block_denied": 0,
        "grey_after_s": 14400,
        "overdraft": 0,
        "same_card_s": 5,
    },
}


@pytest.fixture
def keys(city: City) -> Keyring:
    opened = vault.open_vault(city.vault, PASSPHRASE)
    key = signing.new()
    opened.add(vault.KeyInfo(KEY, "params", "ES256", "sign", "", vault.kcv("ES256", key)), key)
    opened.save()
    return open_keys(city.vault, PASSPHRASE, production=False)


@pytest.fixture
def scope(city: City) -> str:
    return str(city.rows("SELECT operator FROM device WHERE device_id = 1")[0][0])


def payload(folder: Path, scope: str, **changes: Any) -> bytes:
    path = folder / "set.json"
    path.write_text(json.dumps({**SAMPLE, "scope": scope, **changes}))
    return spec.payload_of(path, NOON_S)


def build(city: City, folder: Path, scope: str, user: str = "wang", **changes: Any) -> params.ParamSet:
    blob = payload(folder, scope, **changes)
    with city.store.transaction() as db:
        return sets.build(db, blob, replay(db, params.decode(blob), DAY), user, NOON_S)


def approve(city: City, scope: str, version: int = 2, user: str = "li") -> None:
    with city.store.transaction() as db:
        sets.approve(db, scope, version, user, NOON_S)


def publish(city: City, keys: Keyring, scope: str, version: int = 2, key: str = KEY) -> None:
    with city.store.transaction() as db:
        sets.publish(db, keys, key, scope, version, "li", NOON_S)


def get(city: City, path: str) -> httpx.Response:
    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=app(city.intake, city.store))
        async with httpx.AsyncClient(transport=transport, base_url="https://" + AUDIENCE) as client:
            return await client.get(path)

    return asyncio.run(exchange())


def fetched(city: City, entry: manifest.Entry) -> bytes:
    blob = b""
    while len(blob) < entry.bytes:
        answer = get(city, manifest.blob_path(entry.sha256, len(blob), 100))
        assert answer.status_code == 200
        blob += answer.content
    return blob


def listed(city: City, keys: Keyring, scope: str) -> list[manifest.Entry]:
    answer = get(city, manifest.manifest_path(scope))
    assert answer.status_code == 200
    name, content, signature = cose_sign1.unseal(answer.content)
    key = cose_sign1.named(name, [keys.public_key(KEY)])
    p256.verify(key, cose_sign1.digest(content, manifest.aad(scope)), signature)
    return manifest.decode(content)[1]


def test_a_published_set_is_what_was_built_signed_and_comes_in_pieces(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    build(city, tmp_path, scope)
    approve(city, scope)
    publish(city, keys, scope)
    (entry,) = listed(city, keys, scope)
    assert (entry.kind, entry.version, entry.effective_at_s) == (manifest.PARAMS, 2, NOON_S + 3600)
    name, content, signature = cose_sign1.unseal(fetched(city, entry))
    p256.verify(keys.public_key(KEY), cose_sign1.digest(content, params.AAD), signature)
    found = params.decode(content)
    assert (found.scope, [found.fare.price(kind).amount_fen for kind in (1, 2, 3)]) == (scope, [250, 175, 125])


def test_the_person_who_built_a_set_does_not_approve_it_however_the_name_is_written(
    city: City, scope: str, tmp_path: Path
) -> None:
    build(city, tmp_path, scope, user="Wang")
    for same in ("Wang", "wang", " WANG "):
        with pytest.raises(spec.FleetRefused, match="another person"):
            approve(city, scope, user=same)
    with pytest.raises(spec.FleetRefused, match="--user"):
        approve(city, scope, user=" ")
    approve(city, scope)
    with pytest.raises(spec.FleetRefused, match="was approved"):
        approve(city, scope, user="zhao")
    assert city.rows("SELECT built_by, approved_by FROM params_set") == [("wang", "li")]


def test_the_store_itself_refuses_one_person_and_any_change(city: City, scope: str, tmp_path: Path) -> None:
    build(city, tmp_path, scope)
    for statement in (
        "UPDATE params_set SET approved_by = built_by",
        "UPDATE params_set SET published_by = 'li'",
        "UPDATE params_set SET payload = x'00'",
        "UPDATE params_set SET built_by = 'zhao'",
        "DELETE FROM params_set",
    ):
        with pytest.raises(Exception, match="CHECK|append-only"), city.store.transaction() as db:
            db.execute(statement)


def test_nothing_unapproved_old_or_expired_is_published(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    build(city, tmp_path, scope)
    with pytest.raises(spec.FleetRefused, match="approval"):
        publish(city, keys, scope)
    assert get(city, manifest.manifest_path(scope)).status_code == 404
    build(city, tmp_path, scope, version=3, effective_at=NOON_S - 10, expires_at=NOON_S)
    approve(city, scope, 3)
    with pytest.raises(spec.FleetRefused, match="expired"):
        publish(city, keys, scope, 3)
    build(city, tmp_path, scope, version=4)
    for version in (2, 4):
        approve(city, scope, version)
    publish(city, keys, scope, 4)
    with pytest.raises(spec.FleetRefused, match="lower"):
        publish(city, keys, scope, 2)
    with pytest.raises(spec.FleetRefused, match="is published"):
        publish(city, keys, scope, 4)
    with pytest.raises(spec.FleetRefused, match="build version 5"):
        build(city, tmp_path, scope, version=4)


def test_a_key_that_is_no_signing_key_signs_nothing(city: City, keys: Keyring, scope: str, tmp_path: Path) -> None:
    build(city, tmp_path, scope)
    approve(city, scope)
    for key in ("nobody", "tac-root", "device-1"):
        with pytest.raises(NoKey):
            publish(city, keys, scope, key=key)
    assert city.rows("SELECT published_by, blob FROM params_set") == [(None, None)]
    assert city.rows("SELECT COUNT(*) FROM fare_table WHERE version = 2") == [(0,)]


def test_only_what_no_later_version_replaces_is_offered(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    for version, later_s in ((2, 0), (3, 5000), (4, 9000), (5, 5000)):
        build(city, tmp_path, scope, version=version, effective_at=NOON_S + later_s)
        approve(city, scope, version)
        publish(city, keys, scope, version)
    assert [entry.version for entry in listed(city, keys, scope)] == [2, 5]


def test_a_fare_version_that_clearing_knows_with_other_prices_is_refused(
    city: City, scope: str, tmp_path: Path
) -> None:
    with pytest.raises(spec.FleetRefused, match="new version"):
        build(city, tmp_path, scope, fare={"version": 1, "fare_id": 1, "fare_fen": 250})


def test_bad_files_are_refused_with_what_is_wrong(city: City, scope: str, tmp_path: Path) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"fare": {"version": 2, "fare_id": 1, "fare_fen": 0}}, "flat fare"),
        ({"kinds": {"version": 1, "discounts": [[2, 300], [2, 400]]}}, "KIND"),
        ({"effective_at": "tomorrow"}, "2025-06-01 04:00"),
        ({"expires_at": NOON_S}, "expires"),
        ({"issuers": {"version": 1, "home": ["xx"], "accepted": []}}, "line 1: issuers has another shape"),
        ({"device": {"version": 1}}, "DEV"),
        ({"fare": None}, "line 1: fare has another shape"),
        ({"scope": "nobody"}, "registered"),
    )
    for changes, words in cases:
        with pytest.raises(spec.FleetRefused, match=words):
            build(city, tmp_path, **{"scope": scope, **changes})
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(spec.FleetRefused):
        spec.payload_of(path, NOON_S)
    with pytest.raises(spec.FleetRefused, match="absent"):
        spec.payload_of(tmp_path / "absent.json", NOON_S)


def test_a_dry_run_shows_what_yesterdays_taps_would_have_paid(city: City, scope: str, tmp_path: Path) -> None:
    bus = Validator(city)
    bus.send([bus.tap(1), bus.tap(2, number=2), bus.tap(3, number=3, issuer="birch")])
    found = params.decode(payload(tmp_path, scope, issuers={"version": 1, "home": ["09990100"], "accepted": []}))
    with city.store.reading() as db:
        effect = replay(db, found, DAY)
        assert replay(db, found, "2025-05-01")["taps"] == 0
    assert (effect["taps"], effect["before_fen"], effect["after_fen"], effect["refused"]) == (3, 600, 500, 1)
    assert effect["kinds"] == {"1": [3, 600, 500]}


def test_clearing_prices_a_tap_again_with_the_table_that_it_names(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    build(city, tmp_path, scope)
    approve(city, scope)
    publish(city, keys, scope)
    bus = Validator(city)
    new = {"fare_version": 2, "amount_fen": 250, "list_fen": 250}
    bus.send([bus.tap(1), bus.tap(2, number=2, **new), bus.tap(3, number=3, fare_version=2)])
    clear_day(city.store, keys, DAY, NOON_S)
    wrong = city.rows("SELECT ref FROM anomaly WHERE code = 'TX-16'")
    assert wrong == [(f"txn {city.rows('SELECT id FROM txn WHERE seq = 3')[0][0]}",)]


def test_coverage_is_what_devices_said_they_run(city: City, keys: Keyring, scope: str, tmp_path: Path) -> None:
    build(city, tmp_path, scope)
    devices = city.rows("SELECT COUNT(*) FROM device WHERE operator = ?", scope)[0][0]

    def running() -> int:
        with city.store.reading() as db:
            (row,) = status.sets(db)
        assert row["devices"] == devices
        return int(row["running"])

    bus = Validator(city)
    bus.send([], versions={"params": 1, "fare": 1})
    assert running() == 0
    bus.send([], versions={"params": 3})
    assert running() == 1
    bus.send([], versions={"params": "none", 7: 1})
    assert running() == 0


def test_questions_that_cannot_be_answered_are_refused(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    build(city, tmp_path, scope)
    approve(city, scope)
    publish(city, keys, scope)
    (entry,) = listed(city, keys, scope)
    path = manifest.BLOB_PATH + entry.sha256.hex()
    for query, code in (
        ("", 400),
        ("?off=0", 400),
        ("?off=-1&len=10", 400),
        ("?off=0&len=0", 400),
        ("?off=0&len=2049", 400),
        (f"?off={entry.bytes}&len=1", 400),
        ("?off=99999999999999999999&len=1", 400),
        ("?off=٣&len=1", 400),
        ("?off=0&len=2048", 200),
    ):
        assert get(city, path + query).status_code == code, query
    assert get(city, manifest.BLOB_PATH + "00" * 32 + "?off=0&len=10").status_code == 404
    assert get(city, manifest.MANIFEST_PATH + "?scope=a/b").status_code == 400
    assert get(city, manifest.MANIFEST_PATH).status_code == 400


def test_the_vault_takes_only_signing_keys_that_are_some(city: City) -> None:
    opened = vault.open_vault(city.vault, PASSPHRASE)
    for key in (bytes(32), b"\xff" * 32, bytes(31)):
        with pytest.raises(vault.VaultError):
            opened.add(vault.KeyInfo("params-x", "params", "ES256", "sign", "", "000000"), key)
    assert b"params-x" not in city.vault.read_bytes()


@pytest.mark.parametrize("name", ["Wang Fang", "wangfang ", "ｗａｎｇ　ｆａｎｇ"])
def test_a_person_has_one_spelling(name: str) -> None:
    assert spec.person(name) == "wangfang"
