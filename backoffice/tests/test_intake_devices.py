"""What intake knows of devices beside their records: new journals, commands, heartbeats, logs."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backoffice.intake import commands, enrol, health, logs
from backoffice.intake.server import app
from backoffice.store import registry
from backoffice.tests.forge import AUDIENCE, City, Validator, event_entry
from tunion.wire import command, sync, tap
from tunion.wire import enrol as wire


def accept(city: City, epoch: int) -> None:
    with city.store.transaction() as db:
        enrol.accept(db, 1, epoch, "li", city.now_s)


def issue(city: City, name: str, argument: int = 0) -> int:
    with city.store.transaction() as db:
        return commands.issue(db, 1, name, argument, "wang", city.now_s)


def devices(city: City) -> dict[int, list[str]]:
    with city.store.reading() as db:
        return {device["device_id"]: device["alarms"] for device in health.devices(db, city.now_s)}


def done(seq: int, number: int, result: int = command.DONE) -> bytes:
    return event_entry(seq, tap.COMMAND_DONE, result, number)


# --- journals


def test_a_new_journal_waits_for_a_clerk_and_both_journals_records_stand(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, number=1)])
    reborn = Validator(city, epoch=2)
    refusal = reborn.send([reborn.tap(1, number=2)])
    assert isinstance(refusal, sync.Refusal) and refusal.code == sync.EPOCH

    assert reborn.enrol() == wire.WAITING
    assert isinstance(bus.send([]), sync.Reply), "until a clerk decides, the journal that is known goes on"
    accept(city, 2)
    assert reborn.enrol() == wire.ENROLLED

    reborn.msg_seq = 0
    assert isinstance(reborn.send([reborn.tap(1, number=2)]), sync.Reply)
    late = bus.send([bus.tap(2)])
    assert isinstance(late, sync.Refusal) and late.code == sync.EPOCH
    assert bus.ask().state == wire.CLOSED
    assert city.rows("SELECT epoch, seq FROM entry ORDER BY epoch") == [(2, 1), (bus.epoch, 1)]
    assert city.rows("SELECT decided_by FROM enrolment WHERE epoch = 2") == [("li",)]


def test_every_question_may_come_any_number_of_times(city: City, bus: Validator) -> None:
    bus.send([])
    reborn = Validator(city, epoch=2)
    nonce = reborn.ask().nonce
    assert len(nonce) == 16 and reborn.ask() == reborn.ask()
    assert [reborn.ask(nonce).state for _ in range(3)] == [wire.WAITING] * 3
    accept(city, 2)
    assert reborn.ask(nonce).state == wire.ENROLLED
    again = reborn.ask(nonce)
    assert again.state == wire.CHALLENGE and again.nonce != nonce, "an answer that was lost costs one more round"
    assert reborn.ask(again.nonce).state == wire.ENROLLED


def test_a_question_of_before_is_worth_nothing(city: City, bus: Validator) -> None:
    """Captured, and played back without the nonce that is asked for now, or after the flash was lost again."""
    bus.send([])
    lost = Validator(city, epoch=2)
    old = lost.question(lost.ask().nonce)
    city.intake.enrol(old)
    reborn = Validator(city, epoch=3)
    assert reborn.enrol() == wire.WAITING

    city.intake.enrol(old)

    assert lost.ask().state == wire.CLOSED
    with city.store.reading() as db:
        assert [row["epoch"] for row in enrol.waiting(db)] == [3]
    with pytest.raises(registry.RegistryConflict, match="00000003"):
        accept(city, 2)
    assert reborn.ask(bytes(16)).state == wire.CHALLENGE


def test_a_question_that_was_under_way_when_the_flash_was_lost_again_closes_nothing(city: City, bus: Validator) -> None:
    """Found by the schedules: it closed the journal that came after it."""
    bus.send([])
    lost, reborn = Validator(city, epoch=2), Validator(city, epoch=3)
    late = lost.ask().nonce
    assert reborn.enrol() == wire.WAITING

    assert lost.ask(late).state == wire.CLOSED

    accept(city, 3)
    assert reborn.enrol() == wire.ENROLLED


def test_a_capture_that_only_asks_closes_no_journal(city: City, bus: Validator) -> None:
    bus.send([])
    reborn, dead = Validator(city, epoch=2), Validator(city, epoch=3)
    nonce = reborn.ask().nonce
    dead.ask()
    assert reborn.ask(nonce).state == wire.WAITING
    assert bus.enrol() == wire.ENROLLED, "the present journal may prove itself at any time"


def test_enrolling_the_present_journal_afresh_changes_no_number(city: City, bus: Validator) -> None:
    bus.send([])
    old = bus.upload([bus.tap(1)])
    city.intake.receive(old)
    assert bus.enrol() == wire.ENROLLED
    bus.send([])
    assert isinstance(bus.opened(city.intake.receive(old)), sync.Refusal), "a capture stays old"


def test_an_upload_of_a_journal_that_is_not_enrolled_yet_may_arrive_late(city: City, bus: Validator) -> None:
    bus.send([])
    reborn = Validator(city, epoch=2)
    late = reborn.upload([reborn.tap(1, number=4)])
    reborn.enrol()
    accept(city, 2)
    city.intake.receive(late)
    refusal = reborn.opened(city.intake.receive(reborn.upload([reborn.tap(1, number=4)], msg_seq=1, clk_q=2)))
    assert isinstance(refusal, sync.Refusal) and (refusal.code, refusal.msg_seq_stored) == (sync.STALE, 1)
    assert isinstance(reborn.send([reborn.tap(1, number=4)]), sync.Reply)
    assert len(city.rows("SELECT * FROM entry WHERE epoch = 2")) == 1


@pytest.mark.parametrize("spoil", [
    lambda bus: bus.question(device_id=2),
    lambda bus: bus.question(nonce=b"short"),
    lambda bus: bus.question(proto=2),
    lambda bus: bus.question(last_seq=1 << 32),
    lambda bus: bus.upload([]),
    lambda bus: bus.question()[:-1],
    lambda bus: b"",
])  # fmt: skip
def test_what_is_no_question_of_this_device_changes_nothing(
    spoil: Callable[[Validator], bytes], city: City, bus: Validator
) -> None:
    bus.send([])
    before = city.dump()
    assert city.intake.enrol(spoil(bus)).status in (400, 401)
    assert city.dump() == before


def test_the_question_has_a_path_of_its_own(city: City, bus: Validator) -> None:
    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=app(city.intake, city.store))
        async with httpx.AsyncClient(transport=transport, base_url="https://" + AUDIENCE) as client:
            return await client.post(wire.PATH, content=bus.question())

    answer = asyncio.run(exchange())
    assert answer.status_code == 200 and answer.content


# --- commands


def test_a_command_goes_with_each_answer_until_the_device_says_that_it_is_done(city: City, bus: Validator) -> None:
    assert (issue(city, command.LOCK), issue(city, command.SET_INTERVAL, 60)) == (1, 2)
    lock, interval = [1, "lock", 0], [2, "set_interval", 60]
    ended = done(1, 2, command.BAD_ARGUMENT)
    for entries, left in (([], [lock, interval]), ([ended], [lock]), ([ended], [lock]), ([done(2, 1)], []), ([], [])):
        reply = bus.send([], entries)
        assert isinstance(reply, sync.Reply) and reply.commands == left
    assert city.rows("SELECT command_id, issued_by, result FROM command ORDER BY command_id") == [
        (1, "wang", command.DONE),
        (2, "wang", command.BAD_ARGUMENT),
    ]


def test_a_lost_answer_brings_the_same_command_again_and_not_another(city: City, bus: Validator) -> None:
    issue(city, command.REBOOT)
    message = bus.upload([])
    first = city.intake.receive(message)
    issue(city, command.LOCK)
    assert city.intake.receive(message) == first


@pytest.mark.parametrize(("device_id", "name", "argument", "words"), [
    (9, command.LOCK, 0, "not registered"),
    (1, "explode", 0, "there are leave_safe_mode, lock"),
    (1, command.LOCK, 1, "no argument"),
    (1, command.SET_INTERVAL, 86401, "0 to 86400"),
    (1, command.SET_INTERVAL, -1, "0 to 86400"),
])  # fmt: skip
def test_a_command_that_cannot_be_is_refused(device_id: int, name: str, argument: int, words: str, city: City) -> None:
    before = city.dump()
    with pytest.raises(commands.CommandRefused, match=words), city.store.transaction() as db:
        commands.issue(db, device_id, name, argument, "wang", 0)
    assert city.dump() == before


def test_commands_for_one_device_have_a_limit(city: City) -> None:
    for _ in range(commands.OPEN_MAX):
        issue(city, command.RECONNECT)
    with pytest.raises(commands.CommandRefused, match="wait"):
        issue(city, command.RECONNECT)


# --- heartbeats


HEALTHY = {"up_s": 60, "paid": 7, "refused": {9: 2}, "queue": 3, "boots": 20, "crash_boot": 12, "turn_ms": 30_000,
           "watchdog_ms": 60_000}
TROUBLE: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    health.QUEUE: ({"queue": 10_001}, {}),
    health.CLOCK: ({}, {"clk_q": 0}),
    health.SAM: ({"sam": 1}, {}),
    health.LIST_AGE: ({}, {"versions": {"deny_made_s": 1}}),
    health.SAFE_MODE: ({"safe": 1}, {}),
    health.CRASHED: ({"boots": 20, "crash_boot": 13}, {}),
    health.SELF_TEST: ({"self_test": 0x200}, {}),
    health.SLOW: ({"turn_ms": 30_001, "watchdog_ms": 60_000}, {}),
}


@pytest.mark.parametrize("alarm", TROUBLE)
def test_what_a_heartbeat_says_becomes_an_alarm_and_ends_with_its_cause(alarm: str, city: City, bus: Validator) -> None:
    figures, fields = TROUBLE[alarm]
    bus.send([], more={sync.HEALTH: {**HEALTHY, **figures}}, **fields)
    assert devices(city)[1] == [alarm]
    bus.send([], more={sync.HEALTH: HEALTHY}, versions={"deny_made_s": city.now_s})
    assert devices(city)[1] == []


def test_no_contact_is_an_alarm_after_26_hours_and_never_before_the_first(city: City, bus: Validator) -> None:
    bus.send([])
    city.now_s += health.CONTACT_S_MAX
    assert devices(city)[1] == []
    city.now_s += 1
    assert devices(city) == {1: [health.NO_CONTACT], **{other: [] for other in devices(city) if other != 1}}


def test_a_repeated_message_is_no_newer_heartbeat_and_odd_figures_are_left_out(city: City, bus: Validator) -> None:
    odd = {"text": "x", "deep": {1: {2: 3}}, "n" * 40: 1, 5: 5, "many": list(range(100)), "huge": 1 << 40, "up_s": 3}
    message = bus.upload([], more={sync.HEALTH: odd})
    city.intake.receive(message)
    before = city.dump()
    city.now_s += 60
    city.intake.receive(message)
    assert city.dump() == before
    assert city.rows("SELECT health FROM device_health") == [('{"heap_free": 100000, "up_s": 3}',)]


def test_figures_of_another_kind_raise_no_alarm_and_stop_nothing(city: City, bus: Validator) -> None:
    bus.send([], more={sync.HEALTH: {"safe": ["x"], "turn_ms": {1: 2}, "crash_boot": ["y"], "self_test": {3: 4}}})
    assert devices(city)[1] == []


def test_events_of_one_device_newest_last_without_card_numbers(city: City, bus: Validator) -> None:
    bus.send([], [event_entry(seq, tap.CRASH, 4, seq) for seq in range(1, 6)])
    with city.store.reading() as db:
        rows = health.events(db, 1, 3)
        assert health.events(db, 2, 3) == []
    assert [(row["seq"], row["code"], row["reason"], row["value"]) for row in rows] == [
        (seq, tap.CRASH, 4, seq) for seq in (3, 4, 5)
    ]
    assert "card" not in rows[0]


# --- logs


def pieces(content: bytes, number: int, size: int = 50) -> list[list[object]]:
    crc = zlib.crc32(content)
    return [[number, crc, len(content), at, content[at : at + size]] for at in range(0, len(content), size)]


def test_a_log_comes_in_pieces_lost_doubled_and_late(city: City, bus: Validator) -> None:
    number = issue(city, command.UPLOAD_LOG)
    content = b"".join(b"%d boot 1\n" % at for at in range(20))
    first, second, third, *rest = pieces(content, number)
    for piece, offset in ((second, 0), (first, 50), (first, 50), (third, 50), (second, 100), (first, 100)):
        reply = bus.send([], more={sync.LOG: piece})
        assert isinstance(reply, sync.Reply) and reply.want == [[sync.LOG, number, offset]]
    for piece in [third, *rest]:
        bus.send([], more={sync.LOG: piece})
    with city.store.reading() as db:
        row = logs.newest(db, 1)
    assert row is not None and row["content"] == content


def test_a_device_that_started_again_sends_another_log_from_its_beginning(city: City, bus: Validator) -> None:
    number = issue(city, command.UPLOAD_LOG)
    bus.send([], more={sync.LOG: pieces(b"a" * 120, number)[0]})
    other = pieces(b"b" * 120, number)
    reply = bus.send([], more={sync.LOG: other[1]})
    assert isinstance(reply, sync.Reply) and reply.want == [[sync.LOG, number, 0]]
    spoilt = [number, 1, 3, 0, b"abc"]
    reply = bus.send([], more={sync.LOG: spoilt})
    assert isinstance(reply, sync.Reply) and reply.want == [[sync.LOG, number, 0]]


@pytest.mark.parametrize("piece", [
    [], "log", [1, 2, 3, 4], [1, 2, 3, 4, "text"], [1, 2, 70000, 0, b"x"], [-1, 2, 3, 0, b"x"], [9, 2, 3, 0, b"x"],
])  # fmt: skip
def test_a_piece_that_nobody_asked_for_is_not_stored(piece: object, city: City, bus: Validator) -> None:
    issue(city, command.UPLOAD_LOG)
    reply = bus.send([bus.tap(1)], more={sync.LOG: piece})
    assert isinstance(reply, sync.Reply) and (reply.want, reply.ack) == ([], [[1, 1]])
    assert city.rows("SELECT * FROM device_log") == []
