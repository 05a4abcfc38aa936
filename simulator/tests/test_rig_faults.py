"""The whole stack with one part broken at a time: it says so, keeps its books, and rides go on when it is mended.

One depot for all; each test leaves it in order. At the end everything is cleared and compared record by record.
"""

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.field import Faults, Torn
from simulator.rig import cable
from simulator.rig.books import Books
from simulator.rig.depot import Depot
from simulator.rig.riders import Rider, riders
from simulator.rig.shift import TAP_WAIT_S, Post
from simulator.tests.on_micropython import FIRMWARE, UNIX
from tunion import cbor

SEED = 77
NOBODY = -1
BEFORE, AFTER = "before", "after"
PROBE_S = 0.02      # between looks at what has no event to wait for
SETTINGS = {"same_card_s": 0, "sync_interval_s": 600, "sync_entries": 1}    # a tap is sent at once, else nothing
ON_CARD = ("select", "read-binary", "init", "debit")


class Town:
    """The depot, and riders who have not ridden yet."""

    def __init__(self, depot: Depot) -> None:
        self.depot = depot
        self.everybody = riders(200, SEED, poor=NOBODY, expired=NOBODY)
        self._next = iter(self.everybody)

    def rider(self) -> Rider:
        return next(self._next)

    def stored(self, rider: Rider) -> int:
        """Tap records of this rider's card in the back office."""
        db = sqlite3.connect(f"file:{self.depot.centre.db}?mode=ro", uri=True)
        try:
            (count,) = db.execute("SELECT COUNT(*) FROM txn WHERE card = ?", (rider.serial.hex(),)).fetchone()
        finally:
            db.close()
        return int(count)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    # A limit on file size is then an error, as a full disk is, instead of a deadly signal.
    micropython = ["env", "--ignore-signal=XFSZ", *UNIX]
    folder = tmp_path_factory.mktemp("depot") / "depot"
    with Depot(folder, micropython, f"{FIRMWARE}:.frozen", settings=SETTINGS) as depot:
        depot.power_on(depot.first)
        depot.power_on(depot.second)
        yield Town(depot)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what sends no event."""
    deadline = time.monotonic() + TAP_WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {TAP_WAIT_S:.0f} s"
        time.sleep(PROBE_S)


def until_some(look: Callable[[], list[Any]], what: str) -> list[Any]:
    """As `until`, for what is not empty when it comes."""
    found: list[Any] = []

    def came() -> bool:
        found[:] = look()
        return bool(found)

    until(came, what)
    return found


def rides(post: Post, rider: Rider) -> None:
    assert post.tap(rider)["what"] == "paid"


def rides_in_the_end(post: Post, rider: Rider) -> None:
    """A daemon that has just come back may drop the next card, too: its rider holds it there once more."""
    if post.tap(rider)["what"] == "tap_again":
        post.tap(rider)
    assert rider.taps[-1] in ("paid", "recovered") and len(rider.debits) == 1


def rides_on_one_debit(post: Post, rider: Rider) -> None:
    """After a tap that broke off: what was debited is the ride, what was not is debited now."""
    debited = len(rider.debits)
    assert post.tap(rider)["what"] == ("recovered" if debited else "paid")
    assert len(rider.debits) == 1


def broken_tap(post: Post, rider: Rider, name: str, when: str, do: Callable[[], object]) -> None:
    """The rider taps; at this exchange `do` happens, and no answer comes of it. Returns when the card is away."""
    done = threading.Event()

    def at(exchange: str, number: int) -> None:
        if exchange == name and not done.is_set():
            do()
            done.set()
            raise Torn(f"{name}:{when}")

    faults = Faults(on_exchange=at) if when == BEFORE else Faults(on_answer=at)
    with post.visit(rider):
        post.door.insert(rider.card, faults)
        assert done.wait(TAP_WAIT_S), f"{name} did not come"
        post.door.remove()


def expect(post: Post, since: int, what: str, part: str) -> None:
    def said(line: dict[str, Any]) -> bool:
        return (line.get("what"), line.get("part")) == (what, part)

    post.validator.expect(said, since, TAP_WAIT_S, f"{what} {part}")


# --- pcscd and the PSAM


def test_pcscd_dies_between_taps(town: Town):
    depot, post = town.depot, town.depot.first
    since = post.validator.mark()
    depot.pcscd.kill()
    expect(post, since, "fault", "reader")
    depot.restart_pcscd()
    expect(post, since, "back", "reader")
    rides(post, town.rider())
    expect(post, since, "fault", "sam")     # noticed when it was needed
    expect(post, since, "back", "sam")


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_pcscd_dies_in_a_debit(town: Town, when: str):
    depot, post, rider = town.depot, town.depot.first, town.rider()
    since = post.validator.mark()
    broken_tap(post, rider, "debit", when, depot.pcscd.kill)
    expect(post, since, "fault", "reader")
    depot.restart_pcscd()
    expect(post, since, "back", "reader")
    rides_on_one_debit(post, rider)
    rides_in_the_end(post, town.rider())


def test_the_psam_is_pulled_out_and_put_back(town: Town):
    depot, post = town.depot, town.depot.first
    since = post.validator.mark()
    depot.psam.remove()
    with post.visit(rider := town.rider()):
        post.door.insert(rider.card)
        expect(post, since, "fault", "sam")
        post.door.remove()
    assert rider.debits == []
    depot.insert_psam()
    expect(post, since, "back", "sam")
    rides(post, rider)


def test_a_ride_whose_psam_leaves_between_its_two_commands_is_paid_all_the_same(town: Town):
    depot, post, rider = town.depot, town.depot.first, town.rider()
    since = post.validator.mark()

    def on_answer(name: str, number: int) -> None:
        if name == "debit":
            depot.psam.remove()

    with post.visit(rider):
        post.door.insert(rider.card, Faults(on_answer=on_answer))
        expect(post, since, "fault", "sam")
        post.door.remove()
    assert [line["what"] for line in post.visits[-1].lines] == ["paid"]
    depot.insert_psam()
    expect(post, since, "back", "sam")
    rides(post, town.rider())


# --- the PN532's line


def test_the_pn532_is_unplugged_between_taps(town: Town):
    depot, post = town.depot, town.depot.second
    since = post.validator.mark()
    depot.second_door.unplug()
    expect(post, since, "fault", "reader")
    depot.replace_chip()
    expect(post, since, "back", "reader")
    rides(post, town.rider())


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_the_pn532_is_unplugged_in_a_debit(town: Town, when: str):
    depot, post, rider = town.depot, town.depot.second, town.rider()
    since = post.validator.mark()
    broken_tap(post, rider, "debit", when, depot.second_door.unplug)
    expect(post, since, "fault", "reader")
    depot.replace_chip()
    expect(post, since, "back", "reader")
    rides_on_one_debit(post, rider)


# --- power


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize("exchange", ON_CARD)
@pytest.mark.parametrize("bus", ["first", "second"])
def test_the_power_fails_at_an_exchange_with_the_card(town: Town, bus: str, exchange: str, when: str):
    post, rider = getattr(town.depot, bus), town.rider()
    broken_tap(post, rider, exchange, when, post.power_cut)
    post.power_on()
    assert len(rider.debits) == ((exchange, when) == ("debit", AFTER))
    rides_on_one_debit(post, rider)


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize(("exchange", "debited"), [("sam-init", 0), ("sam-credit", 1)])
def test_the_power_fails_at_an_exchange_with_the_psam(town: Town, exchange: str, debited: int, when: str):
    depot, post, rider = town.depot, town.depot.first, town.rider()
    cut = threading.Event()

    def at(name: str, number: int) -> None:
        if name == exchange and not cut.is_set():
            post.power_cut()
            cut.set()

    depot.psam.remove()
    depot.insert_psam(Faults(on_exchange=at) if when == BEFORE else Faults(on_answer=at))
    with post.visit(rider):
        post.door.insert(rider.card)
        assert cut.wait(TAP_WAIT_S)
        post.door.remove()
    post.power_on()
    assert len(rider.debits) == debited
    rides_on_one_debit(post, rider)


# --- uploads


@pytest.mark.parametrize(("way", "stored"), [(cable.UP, 0), (cable.DOWN, 1)])
def test_the_back_office_is_killed_in_an_upload(town: Town, way: str, stored: int):
    """Before it has heard, and after it has stored and answered; the answer got lost."""
    depot, post, rider = town.depot, town.depot.second, town.rider()
    post.drain()
    depot.cable.lose(way)
    rides(post, rider)
    assert depot.cable.lost.wait(TAP_WAIT_S)
    depot.centre.kill()
    assert town.stored(rider) == stored
    depot.cable.pull()
    depot.centre.open()
    depot.cable.plug()
    post.drain()
    assert town.stored(rider) == 1


def test_the_power_fails_while_the_answer_to_an_upload_is_on_its_way(town: Town):
    depot, post, rider = town.depot, town.depot.second, town.rider()
    post.drain()
    depot.cable.lose(cable.DOWN)
    rides(post, rider)
    assert depot.cable.lost.wait(TAP_WAIT_S)
    post.power_cut()
    assert town.stored(rider) == 1
    depot.cable.pull()
    depot.cable.plug()
    post.power_on()
    post.drain()
    assert town.stored(rider) == 1


# --- full disks


@pytest.mark.parametrize(("exchange", "when"), [("init", BEFORE), ("debit", AFTER)])
def test_the_disk_is_full_under_the_journal(town: Town, exchange: str, when: str):
    """Where the claim does not fit there is no debit; where the outcome does not, the card proves the debit later."""
    post, rider = town.depot.second, town.rider()
    since = post.validator.mark()

    def at(name: str, number: int) -> None:
        if name == exchange:
            limit_files(post.validator.pid, 0)

    with post.visit(rider):
        post.door.insert(rider.card, Faults(on_exchange=at) if when == BEFORE else Faults(on_answer=at))
        expect(post, since, "fault", "flash")
        post.door.remove()
    assert len(rider.debits) == (exchange == "debit")
    limit_files(post.validator.pid, resource.RLIM_INFINITY)
    expect(post, since, "back", "flash")
    rides_on_one_debit(post, rider)


def test_the_disk_is_full_under_the_database(town: Town):
    depot, post, rider = town.depot, town.depot.second, town.rider()
    post.drain()
    assert depot.centre.server is not None
    carried = depot.cable.carried[cable.DOWN]
    limit_files(depot.centre.server.pid, 0)
    rides(post, rider)
    until(lambda: depot.cable.carried[cable.DOWN] > carried, "an answer of the back office")
    assert town.stored(rider) == 0
    limit_files(depot.centre.server.pid, resource.RLIM_INFINITY)
    post.drain()
    assert town.stored(rider) == 1


def limit_files(pid: int, size: int) -> None:
    """The process may write so many bytes into a file."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


# --- provisioning


@pytest.mark.parametrize("wrong", [{"key": bytes(32)}, {"device_id": 9999}, {"pin": bytes(32)}], ids=list("kdp"))
def test_rides_wait_in_the_journal_while_the_back_office_does_not_know_us(town: Town, wrong: dict[str, Any]):
    """A wrong key, a device that is not registered, a server that is not ours; then all is as it should be."""
    depot, post, rider = town.depot, town.depot.second, town.rider()
    right = post.bus.device_file.read_bytes()
    settings: dict[str, Any] = cbor.decode(right)
    settings["clock_required"] = False      # the time would come from the back office
    (settings["server"] if "pin" in wrong else settings).update(wrong)
    post.validator.stop()
    post.bus.device_file.write_bytes(cbor.encode(settings))
    post.power_on()
    broken, carried = depot.cable.broken, depot.cable.carried[cable.DOWN]
    rides(post, rider)
    if "pin" in wrong:
        until(lambda: depot.cable.broken > broken + 1, "two connections given up")
    else:
        until(lambda: depot.cable.carried[cable.DOWN] > carried, "an answer of the back office")
    assert town.stored(rider) == 0
    post.validator.stop()
    post.bus.device_file.write_bytes(right)
    post.power_on()
    post.drain()
    assert town.stored(rider) == 1


@pytest.mark.parametrize("size", [None, 0, 1, -1])
def test_a_device_file_that_is_missing_or_cut_is_refused_by_name(town: Town, size: int | None):
    post = town.depot.second
    post.validator.stop()
    whole = post.bus.device_file.read_bytes()
    if size is None:
        post.bus.device_file.unlink()
    else:
        post.bus.device_file.write_bytes(whole[:size])
    log = post.bus.folder / "validator.log"
    said = log.stat().st_size
    refused = post.start(post.bus)
    assert refused.wait() == 1
    assert str(post.bus.device_file) in log.read_text()[said:]
    post.bus.device_file.write_bytes(whole)
    post.power_on()
    rides(post, town.rider())


# --- orders of the office


def test_the_office_locks_a_bus_reboots_it_and_unlocks_it(town: Town):
    depot, post = town.depot, town.depot.second
    centre, device_id = depot.centre, post.bus.device_id
    for name, argument in (("set_interval", 1), ("lock", 0), ("upload_log", 0), ("reboot", 0)):
        centre.order(device_id, name, argument)
    since = post.validator.mark()
    rides(post, town.rider())       # its upload brings the orders
    expect(post, since, "fault", "lock")
    assert post.validator.wait() == 3
    for name in ("unlock", "self_test", "set_interval"):
        centre.order(device_id, name)
    post.power_on()
    said = [(line.get("what"), line.get("part")) for line in post.validator.lines]
    assert said.index(("fault", "lock")) < said.index(("back", "lock")) < said.index(("ready", None))
    until(lambda: all(order["result"] is not None for order in centre.orders()), "the last result")
    assert [(order["name"], order["result"]) for order in centre.orders()] == [
        ("set_interval", 0), ("lock", 0), ("upload_log", 0), ("reboot", 0), ("unlock", 0), ("self_test", 0),
        ("set_interval", 0),
    ]  # fmt: skip
    rides(post, town.rider())


def test_a_bus_whose_flash_was_replaced_is_taken_again_by_a_clerk(town: Town):
    depot, post = town.depot, town.depot.second
    post.drain()
    post.validator.stop()
    post.bus.flash_file.unlink()
    post.power_on()
    post.tap(town.rider())
    (asks,) = until_some(lambda: depot.centre.devices()["waiting"], "a journal that waits")
    assert asks["device_id"] == post.bus.device_id
    depot.centre.accept(asks["device_id"], asks["epoch"])
    post.validator.stop()           # else it asks again in a quarter of an hour
    post.power_on()
    post.drain()
    assert depot.centre.devices()["waiting"] == []


# --- in the evening


def test_after_all_that_no_fen_is_lost_or_doubled(town: Town):
    depot = town.depot
    for post in depot.posts:
        post.end_shift()
    figures = depot.centre.clear()
    books = Books(depot.centre.db, town.everybody, depot.posts)
    assert books.findings == []
    assert figures["problems"] == [] and figures["open_fen"] == 0
    assert figures["cleared_fen"] == books.money.debited_fen > 0
