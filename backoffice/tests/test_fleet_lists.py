"""A list from a clerk's file to what devices download: two people, one signature, deltas that lead where they say."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from backoffice.fleet import lists, numbers, status
from backoffice.fleet.spec import FleetRefused
from backoffice.keys.keyring import Keyring
from backoffice.tests import test_fleet as fleet
from backoffice.tests.forge import NOON_S, City, Validator
from backoffice.tests.test_fleet import KEY, fetched, get, listed
from tunion import cose_sign1
from tunion.bcd import from_digits
from tunion.crypto import p256
from tunion.wire import lists as wire
from tunion.wire import manifest

keys, scope = fleet.keys, fleet.scope  # fixtures
DENY = "deny"
YEAR_S = 365 * 86400


def number(index: int) -> str:
    return f"310499990{index:010d}"


def records(indexes: Any) -> bytes:
    return b"".join(from_digits("0" + number(index)) for index in sorted(indexes))


def built(city: City, scope: str, content: bytes, name: str = DENY, user: str = "wang", **times: int) -> int:
    with city.store.transaction() as db:
        lists.take_in(db, scope, name, content, "numbers.txt", user, NOON_S)
        effective = times.get("effective_at_s", NOON_S)
        return lists.build(db, scope, name, effective, times.get("expires_at_s", NOON_S + YEAR_S), user, NOON_S)


def approve(city: City, scope: str, version: int, name: str = DENY, user: str = "li") -> None:
    with city.store.transaction() as db:
        lists.approve(db, scope, name, version, user, NOON_S)


def publish(city: City, keys: Keyring, scope: str, version: int, name: str = DENY, key: str = KEY) -> list[int]:
    with city.store.transaction() as db:
        return lists.publish(db, keys, key, scope, name, version, "li", NOON_S)


def issued(city: City, keys: Keyring, scope: str, content: bytes, name: str = DENY) -> list[int]:
    version = built(city, scope, content, name)
    approve(city, scope, version, name)
    return publish(city, keys, scope, version, name)


def opened(city: City, keys: Keyring, entry: manifest.Entry) -> tuple[wire.Head, bytes]:
    """Head and content of a blob, fetched as a device does, its signature checked."""
    blob = fetched(city, entry)
    name, payload, signature = cose_sign1.unseal(wire.envelope_of(blob[: wire.HEAD_BYTES]))
    key = cose_sign1.named(name, [keys.public_key(KEY)])
    p256.verify(key, cose_sign1.digest(payload, wire.AAD), signature)
    head = wire.decode_head(payload)
    content = blob[wire.HEAD_BYTES :]
    assert hashlib.sha256(content).digest() == head.sha256 and len(content) == wire.content_bytes(head)
    return head, content


def test_a_published_list_comes_whole_and_each_delta_leads_from_its_base(
    city: City, keys: Keyring, scope: str
) -> None:
    history = [records(set(range(200)) - {7 * round} | {1000 + round}) for round in range(7)]
    deltas = [issued(city, keys, scope, content) for content in history]
    assert deltas[0] == [] and deltas[1] == [1] and deltas[-1] == [3, 4, 5, 6]
    entries = listed(city, keys, scope)
    assert [(entry.version, entry.base) for entry in entries] == [(7, 0), (7, 3), (7, 4), (7, 5), (7, 6)]
    for entry in entries:
        head, content = opened(city, keys, entry)
        assert (head.name, head.scope, head.version, head.base) == (wire.DENY, scope, 7, entry.base)
        if entry.base:
            before = set(wire.split(history[entry.base - 1]))
            removed, added = wire.split(content)[: head.removed], wire.split(content)[head.removed :]
            assert set(removed) <= before and not set(added) & before
            content = b"".join(sorted((before - set(removed)) | set(added)))
        assert content == history[6] and hashlib.sha256(content).digest() == head.result_sha256


def test_a_delta_that_is_no_smaller_than_the_list_is_not_offered(city: City, keys: Keyring, scope: str) -> None:
    issued(city, keys, scope, records(range(100)))
    assert issued(city, keys, scope, records(range(500, 510))) == []
    assert [entry.base for entry in listed(city, keys, scope)] == [0]


def test_what_was_read_in_or_built_by_a_person_is_approved_by_another(city: City, scope: str) -> None:
    built(city, scope, records(range(3)), user="Wang")
    with city.store.transaction() as db:
        lists.take_in(db, scope, DENY, records(range(4)), "numbers.txt", "zhao", NOON_S)
        lists.build(db, scope, DENY, NOON_S, NOON_S + YEAR_S, "wang", NOON_S)
    for version, same in ((1, "wang"), (1, " WANG"), (2, "Zhao"), (2, "wang")):
        with pytest.raises(FleetRefused, match="another person"):
            approve(city, scope, version, user=same)
    approve(city, scope, 2, user="li")
    with pytest.raises(FleetRefused, match="was approved"):
        approve(city, scope, 2, user="sun")
    for statement in (
        "UPDATE list_version SET approved_by = built_by WHERE version = 1",
        "UPDATE list_version SET published_by = 'li' WHERE version = 1",
        "UPDATE list_version SET count = 9",
        "DELETE FROM list_version",
        "UPDATE list_content SET records = x'00'",
    ):
        with pytest.raises(Exception, match="CHECK|append-only"), city.store.transaction() as db:
            db.execute(statement)


def test_nothing_unapproved_old_or_expired_is_published(city: City, keys: Keyring, scope: str) -> None:
    for index in range(3):
        built(city, scope, records(range(index)))
    built(city, scope, records(range(9)), expires_at_s=NOON_S + 1)
    with pytest.raises(FleetRefused, match="approval"):
        publish(city, keys, scope, 1)
    for version in (1, 2, 4):
        approve(city, scope, version)
    publish(city, keys, scope, 2)
    with pytest.raises(FleetRefused, match="lower"):
        publish(city, keys, scope, 1)
    with pytest.raises(FleetRefused, match="is published"):
        publish(city, keys, scope, 2)
    with pytest.raises(FleetRefused, match="expired"), city.store.transaction() as db:
        lists.publish(db, keys, KEY, scope, DENY, 4, "li", NOON_S + 2)
    with pytest.raises(FleetRefused, match="has no deny 9"):
        publish(city, keys, scope, 9)
    with pytest.raises(FleetRefused, match="import"), city.store.transaction() as db:
        lists.build(db, scope, "bin", NOON_S, NOON_S + 9, "wang", NOON_S)
    with pytest.raises(FleetRefused, match="registered"), city.store.transaction() as db:
        lists.take_in(db, "nobody", DENY, b"", "x", "wang", NOON_S)


def test_lists_and_parameter_sets_stand_in_one_manifest(
    city: City, keys: Keyring, scope: str, tmp_path: Path
) -> None:
    issued(city, keys, scope, records(range(3)))
    fleet.build(city, tmp_path, scope)
    fleet.approve(city, scope)
    fleet.publish(city, keys, scope)
    issued(city, keys, scope, wire.dated(from_digits("6110"), NOON_S, wire.NEVER_S), "city")
    issued(city, keys, scope, wire.dated(from_digits("04026110"), NOON_S, NOON_S + 9), "bin")
    kinds = [entry.kind for entry in listed(city, keys, scope)]
    assert kinds == [manifest.PARAMS, "deny", "city", "bin"]
    (head, content) = opened(city, keys, listed(city, keys, scope)[2])
    assert (head.name, len(content)) == (wire.CITY, 12)


def test_what_no_device_is_offered_any_more_is_forgotten(city: City, keys: Keyring, scope: str) -> None:
    for index in range(lists.CONTENTS_KEPT + 3):
        issued(city, keys, scope, records(range(50 + index)))
    newest = lists.CONTENTS_KEPT + 3
    assert city.rows("SELECT DISTINCT version FROM list_blob ORDER BY 1") == [(newest - 1,), (newest,)]
    assert city.rows("SELECT COUNT(*), MIN(version) FROM list_content") == [(lists.CONTENTS_KEPT, 4)]
    with city.store.reading() as db:
        assert "added" not in lists.seen(db, scope, DENY, 1)


def test_coverage_and_age_are_what_devices_say(city: City, keys: Keyring, scope: str) -> None:
    issued(city, keys, scope, records(range(3)))
    devices = city.rows("SELECT COUNT(*) FROM device WHERE operator = ?", scope)[0][0]

    def now(at_s: int) -> tuple[int, int]:
        with city.store.reading() as db:
            (row,) = status.lists(db, 48 * 3600, at_s)
        assert row["devices"] == devices
        return row["running"], row["old"]

    bus = Validator(city)
    assert now(NOON_S) == (0, devices)
    bus.send([], versions={"deny": 0, "deny_made_s": 0})
    assert now(NOON_S) == (0, devices)
    bus.send([], versions={"deny": 1, "deny_made_s": NOON_S})
    assert now(NOON_S + 48 * 3600) == (1, devices - 1)
    assert now(NOON_S + 48 * 3600 + 1) == (1, devices)


def test_files_as_clerks_have_them(tmp_path: Path) -> None:
    cases: tuple[tuple[int, str, bytes, int], ...] = (
        (wire.DENY, f"{number(2)}\n\n# a note\n{number(1)}\n", records((1, 2)), 0),
        (wire.DENY, f"\ufeff卡号,原因\r\n0{number(2)},挂失\r\n{number(2)},lost\r\n", records((2,)), 1),
        (wire.DENY, f'"{number(3)}","a, b"\n', records((3,)), 0),
        (wire.DENY, "", b"", 0),
        (wire.CITY, "city,from,to\n6140,2025-06-01,\n6110,2025-05-01,2025-06-01\n",
         wire.dated(b"\x61\x10", 1746028800, 1748707200) + wire.dated(b"\x61\x40", 1748707200, wire.NEVER_S), 0),
        (wire.BIN, "04026110,2025-06-01\n", wire.dated(b"\x04\x02\x61\x10", 1748707200, wire.NEVER_S), 0),
    )  # fmt: skip
    for name, text, content, twice in cases:
        path = tmp_path / "list.csv"
        path.write_text(text, encoding="utf-8")
        assert numbers.records_of(path, name) == (content, twice), text


def test_bad_lines_are_named_and_never_what_they_say(tmp_path: Path) -> None:
    good = number(1)
    cases: tuple[tuple[int, bytes, str], ...] = (
        (wire.DENY, f"{good}\n{good}7\n123\n{good}x\n".encode(), "line 3, 4"),
        (wire.DENY, f"{good[:-1]}\n".encode(), "line 1"),
        (wire.DENY, f"{good}\nnot a number\n".encode(), "line 2"),
        (wire.DENY, f"{good}٣\n".encode(), "line 1"),
        (wire.DENY, b"12\n" * 40, "line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more"),
        (wire.DENY, b"\xff\xfe\x00", "UTF-8"),
        (wire.DENY, "".join(number(i) + "\n" for i in range(100001)).encode(), "devices take 100000"),
        (wire.CITY, b"6110,2025-06-01,2025-06-01\n", "line 1"),
        (wire.CITY, b"6110,2025-02-30,\n", "line 1"),
        (wire.CITY, b"6110\n", "line 1"),
        (wire.CITY, b"611,2025-06-01,\n", "line 1"),
        (wire.CITY, b"6110,2025-06-01,\n6110,2026-06-01,\n", "overlap"),
        (wire.BIN, b"0402611A,2025-06-01,\n", "line 1"),
    )
    for name, text, words in cases:
        path = tmp_path / "list.txt"
        path.write_bytes(text)
        with pytest.raises(FleetRefused, match=words) as caught:
            numbers.records_of(path, name)
        assert good[:12] not in str(caught.value) and "0402611A" not in str(caught.value)
    with pytest.raises(FleetRefused, match="absent"):
        numbers.records_of(tmp_path / "absent.txt", wire.DENY)


def test_blobs_and_manifests_of_lists_are_asked_for_as_others_are(city: City, keys: Keyring, scope: str) -> None:
    issued(city, keys, scope, records(range(300)))
    (entry,) = listed(city, keys, scope)
    path = manifest.BLOB_PATH + entry.sha256.hex()
    assert get(city, f"{path}?off=2560&len=2048").status_code == 200
    assert get(city, f"{path}?off={entry.bytes}&len=1").status_code == 400
