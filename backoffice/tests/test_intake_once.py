"""Each entry is stored exactly once, whatever is lost, repeated, reordered or killed on the way."""

import os
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backoffice.intake.receive import Intake
from backoffice.store import engine, registry
from backoffice.store.engine import Store
from backoffice.tests.forge import City, Validator, amend_entry, event_entry
from tunion import cbor
from tunion.wire import enrol, sync, tap


def test_a_lost_answer_costs_one_repeat_and_the_repeat_gets_the_very_same_bytes(city: City, bus: Validator) -> None:
    message = bus.upload([bus.tap(1), bus.tap(2)], [event_entry(3)])
    first = city.intake.receive(message)
    before = city.dump()
    city.now_s += 600

    assert city.intake.receive(message) == first
    assert city.dump() == before


def test_batches_that_overlap_store_each_entry_once_and_ack_all(city: City, bus: Validator) -> None:
    taps = [bus.tap(seq, number=seq) for seq in range(1, 11)]
    bus.send(taps[:6])

    reply = bus.send(taps[3:])

    assert isinstance(reply, sync.Reply) and reply.ack == [[4, 10]]
    assert city.rows("SELECT seq, copy FROM entry ORDER BY seq") == [(seq, 0) for seq in range(1, 11)]
    assert city.rows("SELECT taps, taps_fen, replays FROM intake_total") == [(10, 2000, 3)]


def test_an_entry_twice_in_one_batch_is_stored_once(city: City, bus: Validator) -> None:
    reply = bus.send([bus.tap(1), bus.tap(1)], [event_entry(2), event_entry(2)])

    assert isinstance(reply, sync.Reply) and reply.ack == [[1, 2]]
    assert len(city.rows("SELECT * FROM entry")) == 2


def test_a_better_clock_is_no_other_content(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, clk_q=1)])
    bus.send([bus.tap(1, clk_q=3)])

    assert len(city.rows("SELECT * FROM entry")) == 1


def test_a_journal_sent_again_under_new_numbers_is_the_same_money_once(city: City, bus: Validator) -> None:
    """Flash read back after a loss: same taps, another epoch."""
    bus.send([bus.tap(1)])
    with city.store.transaction() as db:
        registry.re_enrol(db, 1, city.now_s)
    again = Validator(city, epoch=2)
    assert again.enrol() == enrol.ENROLLED

    reply = again.send([bus.tap(5, counter=11, at_s=city.now_s - 3599, terminal_seq=1001)])

    assert isinstance(reply, sync.Reply) and reply.ack == [[5, 5]]
    assert city.states() == [("UNIQUE", "")]


# what comes second under a key -> how it stands; what was first keeps standing
CONFLICTS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "same number, other amount": ({"seq": 1, "amount_fen": 300, "list_fen": 300}, ("HELD", "TX-03")),
    "same number, other card": ({"seq": 1, "number": 2}, ("HELD", "TX-03")),
    "same number, grey": ({"seq": 1, "outcome": tap.GREY}, ("HELD", "TX-03")),
    "same number, void": ({"seq": 1, "outcome": tap.VOID}, ("VOID", "no debit")),
    "same counter of the card, same terminal": ({"seq": 2, "counter": 11}, ("HELD", "TX-03")),
    "same counter, another terminal": (
        {"seq": 2, "counter": 11, "terminal": bytes.fromhex("990100000002")},
        ("HELD", "TX-11"),
    ),
    "same counter, void": ({"seq": 2, "counter": 11, "outcome": tap.VOID}, ("VOID", "no debit")),
    "same counter, grey": ({"seq": 2, "counter": 11, "outcome": tap.GREY}, ("GREY", "TX-20")),
    "same counter of another card": ({"seq": 2, "counter": 11, "number": 2}, ("UNIQUE", "")),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_of_two_records_under_one_key_both_are_kept_and_the_first_stands(name: str, city: City, bus: Validator) -> None:
    changed, standing = CONFLICTS[name]
    changed = dict(changed)
    bus.send([bus.tap(1)])

    reply = bus.send([bus.tap(changed.pop("seq"), **changed)])

    assert isinstance(reply, sync.Reply) and reply.ack and not reply.reject
    assert city.states() == [("UNIQUE", ""), standing]
    codes = [] if standing[0] in ("VOID", "UNIQUE") else [(standing[1],)]
    assert city.rows("SELECT code FROM anomaly") == codes


def test_contradictions_under_one_number_end_at_a_limit(city: City, bus: Validator) -> None:
    for fen in range(200, 204):
        bus.send([bus.tap(1, amount_fen=fen, list_fen=fen)])

    reply = bus.send([bus.tap(1, amount_fen=204, list_fen=204)])

    assert isinstance(reply, sync.Reply)
    assert reply.reject == [[1, "TX-03"]] and reply.ack == []
    assert len(city.rows("SELECT * FROM entry")) == 4


def test_other_events_and_amends_under_one_number_are_kept_and_flagged(city: City, bus: Validator) -> None:
    bus.send([amend_entry(9, 1, tap.VOID)], [event_entry(2, reason=9)])

    bus.send([amend_entry(9, 3, tap.VOID)], [event_entry(2, reason=10)])

    assert city.rows("SELECT code FROM anomaly") == [("TX-03",), ("TX-03",)]
    assert len(city.rows("SELECT * FROM entry")) == 4


class Deadly(sqlite3.Connection):
    """Kills its process with SIGKILL at the n-th statement, before or after it is done."""

    at = 0
    after = False
    count = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        Deadly.count += 1
        dies = Deadly.count == Deadly.at
        if dies and not Deadly.after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = super().execute(*arguments)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


def _killed_child(city: City, message: bytes, at: int, after: bool) -> bool:
    """Receive in a process that dies at statement `at`; False when it lived to the end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Deadly.at, Deadly.after, Deadly.count = at, after, 0
            intake = Intake(Store(city.db, Deadly), city.keys, lambda: 1000 * city.now_s)
            code = 0 if intake.receive(message).status == 200 else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_server_killed_at_any_statement_loses_nothing_and_doubles_nothing(
    after: bool, city: City, bus: Validator
) -> None:
    killed = 0
    while True:
        numbers = range(killed * 3 + 1, killed * 3 + 4)
        message = bus.upload(
            [bus.tap(numbers[0], number=killed), bus.tap(numbers[1], outcome=tap.GREY)], [event_entry(numbers[2])]
        )
        before = city.rows("SELECT COUNT(*) FROM entry")[0][0]
        if not _killed_child(city, message, killed + 1, after):
            break
        assert city.rows("SELECT COUNT(*) FROM entry")[0][0] in (before, before + 3)  # all or nothing

        answer = bus.opened(city.intake.receive(message))

        assert isinstance(answer, sync.Reply) and answer.ack == [[numbers[0], numbers[2]]]
        assert city.rows("SELECT COUNT(*) FROM entry")[0][0] == before + 3
        killed += 1
    assert killed > 20  # the sweep went through the whole transaction
    assert city.rows("SELECT SUM(taps) FROM intake_total") == city.rows("SELECT COUNT(*) FROM txn")


def test_a_full_database_answers_busy_and_stores_nothing(city: City, bus: Validator) -> None:
    with city.store.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    seq = 0
    while True:
        message = bus.upload([bus.tap(seq + i, number=seq + i) for i in range(1, 61)])
        before = city.dump()
        answer = city.intake.receive(message)
        if answer.status != 200:
            break
        seq += 60
        assert seq < 6000

    assert answer.status == 503 and answer.retry_after_s > 0
    assert cbor.decode(answer.body)[0] == "busy"
    assert city.dump() == before

    with city.store.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    reply = bus.opened(city.intake.receive(message))
    assert isinstance(reply, sync.Reply) and reply.ack == [[seq + 1, seq + 60]]


def test_a_file_that_may_not_grow_answers_busy_and_stores_nothing(city: City, bus: Validator) -> None:
    """The operating system's own refusal, in a process whose files end where they are."""
    import resource

    message = bus.upload([bus.tap(i, number=i) for i in range(1, 61)])
    before = city.dump()
    city.store.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            intake = Intake(Store(city.db), city.keys, lambda: 1000 * city.now_s)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            code = 0 if intake.receive(message).status == 503 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    city.store = Store(city.db)
    assert city.dump() == before


def test_another_writer_makes_us_busy_not_wrong(city: City, bus: Validator, folder: Path) -> None:
    other = Store(city.db)
    with city.store.reading() as db:
        db.execute("PRAGMA busy_timeout = 20")
    message = bus.upload([bus.tap(1)])

    with other.transaction():
        assert city.intake.receive(message).status == 503

    assert city.intake.receive(message).status == 200
    other.close()


def test_two_servers_on_one_file_store_each_entry_once(city: City, bus: Validator) -> None:
    """Both get every message of two devices, at the same time."""
    other = City(city.db.parent)
    devices = (bus, Validator(city, 2))
    rounds = [
        [device.upload([device.tap(i, number=10 * device.device_id + i)]) for device in devices] for i in range(1, 9)
    ]
    answers: list[set[bytes]] = []
    for messages in rounds:
        with ThreadPoolExecutor(4) as pool:
            got = [pool.submit(server.intake.receive, message) for server in (city, other) for message in messages]
        answers.append({future.result().body for future in got})

    assert all(len(both) == 2 for both in answers)  # one answer for each message, from either server
    assert len(city.rows("SELECT * FROM entry")) == 16
    other.store.close()


def test_a_request_that_waits_too_long_for_another_thread_is_told_busy(
    city: City, bus: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT_FOR_WRITER_S", 0.01)
    message = bus.upload([bus.tap(1)])
    answers: list[int] = []

    with city.store.transaction():
        worker = threading.Thread(target=lambda: answers.append(city.intake.receive(message).status))
        worker.start()
        worker.join()

    assert answers == [503]
    assert city.intake.receive(message).status == 200
