"""SAMs after they were made: boxes, links by two people, blocks that clearing heeds, a stock that always balances."""

import hashlib
import json
import random
import sqlite3

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backoffice.cards.line import CardGone
from backoffice.clearing import close
from backoffice.keys import sam_life as life
from backoffice.keys import sam_orders, sam_stock, sams
from backoffice.store import registry
from backoffice.store import sam_tables as tables
from backoffice.store.engine import Store
from backoffice.store.sam_tables import SamRefused
from backoffice.tests.forge import DAY, NOON_S, City, Validator
from backoffice.tests.test_sams_make import OPERATOR, Depot


@pytest.fixture
def depot(city: City) -> Depot:
    return Depot(city.store)


def made(depot: Depot, quantity: int = 2) -> list[str]:
    """Checked SAMs."""
    batch_id = depot.batch(quantity)
    maker = depot.maker(batch_id)
    found = []
    for _ in range(quantity):
        depot.serial = getattr(depot, "serial", 0) + 1  # type: ignore[attr-defined]
        found.append(maker.make(depot.blank(depot.serial)).sam_no)  # type: ignore[attr-defined]
    return found


def received(depot: Depot, quantity: int = 2) -> list[str]:
    sam_nos = made(depot, quantity)
    with depot.store.transaction() as db:
        box = life.ship(db, sam_nos, "zhao", depot.clock())
        assert life.receive(db, box.box_id, [life.ALL], "qian", depot.clock()) == []
    return sam_nos


def installed(depot: Depot, quantity: int = 1, device_id: int = 1) -> list[str]:
    sam_nos = received(depot, quantity)
    with depot.store.transaction() as db:
        for sam_no in sam_nos:
            assert not life.link(db, sam_no, device_id, "qian", depot.clock())
            assert life.link(db, sam_no, device_id, "sun", depot.clock())
    return sam_nos


def test_a_box_names_what_is_in_it(depot: Depot) -> None:
    sam_nos = made(depot, 2)
    with depot.store.transaction() as db:
        box = life.ship(db, sam_nos, "zhao", depot.clock())
        with pytest.raises(SamRefused, match="is shipped"):
            life.ship(db, sam_nos, "zhao", depot.clock())
    note = json.loads(box.note)
    assert [one["sam_no"] for one in note["sams"]] == sam_nos
    assert note["operator"] == OPERATOR and note["box"] == box.box_id
    assert [key.rsplit(" ", 1)[0] for key in note["sams"][0]["keys"]] == [
        "maintenance 3DES 1", "maintenance 3DES 2", "purchase 3DES 1", "purchase 3DES 2"
    ]  # fmt: skip
    assert box.digest == hashlib.sha256(box.note.encode()).hexdigest() and box.signature == b""
    with pytest.raises(sqlite3.IntegrityError), depot.store.transaction() as db:
        db.execute("UPDATE sam_box SET note = ''")


def test_a_short_box_is_an_anomaly_of_the_operator_until_all_is_found(depot: Depot) -> None:
    first, second, third = made(depot, 3)
    with depot.store.transaction() as db:
        box_id = life.ship(db, [first, second, third], "zhao", depot.clock()).box_id
        with pytest.raises(SamRefused, match="another person receives"):
            life.receive(db, box_id, [life.ALL], "Zhao", depot.clock())
        with pytest.raises(SamRefused, match="is not of this box"):
            life.receive(db, box_id, ["9901010000009999"], "qian", depot.clock())
        assert life.receive(db, box_id, [first], "qian", depot.clock()) == [second, third]
        anomaly = "SELECT owner, detail, closed_at_s FROM anomaly WHERE code = 'KM-04'"
        assert tuple(db.execute(anomaly).fetchone()) == (OPERATOR, "2 missing", None)
        assert life.receive(db, box_id, [second], "qian", depot.clock()) == [third]
        life.lose(db, third, "the box was open", "qian", depot.clock())
        assert db.execute(anomaly).fetchone()["closed_at_s"] is not None
    assert depot.states() == ["received", "received", "lost"]
    now = depot.balanced()
    assert (now.issued, now.stock, now.lost) == (3, 2, 1)


def test_a_link_takes_two_people_who_say_the_same(depot: Depot) -> None:
    (sam_no,) = received(depot, 1)
    with depot.store.transaction() as db:
        assert not life.link(db, sam_no, 1, "qian", depot.clock())
        with pytest.raises(SamRefused, match="another person does it"):
            life.link(db, sam_no, 1, "QIAN ", depot.clock())
        with pytest.raises(SamRefused, match="another person does it|do the same"):
            life.destroy(db, sam_no, "sun", depot.clock())
        with pytest.raises(SamRefused, match="device 2 is of 09990112"):
            life.link(db, sam_no, 2, "sun", depot.clock())
        with pytest.raises(SamRefused, match="no device 77"):
            life.link(db, sam_no, 77, "sun", depot.clock())
        assert tables.sam(db, sam_no)["state"] == tables.RECEIVED
        assert life.link(db, sam_no, 1, "sun", depot.clock())
        row = tables.sam(db, sam_no)
        found = db.execute("SELECT * FROM terminal WHERE terminal = ?", (row["terminal"],)).fetchone()
        assert (found["operator"], found["device_id"], found["from_s"]) == (OPERATOR, 1, depot.now_s)
    with pytest.raises(sqlite3.IntegrityError), depot.store.transaction() as db:
        db.execute("INSERT INTO sam_request (sam_no, what, detail, asked_at_s, asked_by, settled_by) "
                   "VALUES (?, 'link', '', 1, 'sun', 'sun')", (sam_no,))  # fmt: skip


def test_a_device_has_as_many_sams_as_slots(depot: Depot) -> None:
    installed(depot, 2)
    third = received(depot, 1)[0]
    with depot.store.transaction() as db:
        with pytest.raises(SamRefused, match="2 slots"):
            life.link(db, third, 1, "qian", depot.clock())
        first = db.execute("SELECT sam_no FROM sam ORDER BY sam_no").fetchone()["sam_no"]
        assert not life.unlink(db, first, "qian", depot.clock())
        assert life.unlink(db, first, "sun", depot.clock())
        assert not life.link(db, third, 1, "qian", depot.clock())


def test_a_sam_goes_in_and_out_within_a_second(depot: Depot) -> None:
    (sam_no,) = installed(depot)
    with depot.store.transaction() as db:
        at_s = depot.now_s
        for _ in range(3):
            life.unlink(db, sam_no, "qian", at_s)
            life.unlink(db, sam_no, "sun", at_s)
            life.link(db, sam_no, 1, "qian", at_s)
            life.link(db, sam_no, 1, "sun", at_s)
            at_s += 1
        rows = db.execute("SELECT from_s, to_s FROM terminal WHERE terminal = '990100000003' ORDER BY 1").fetchall()
        assert len(rows) == 4
        assert all(one["to_s"] <= next_["from_s"] for one, next_ in zip(rows, rows[1:], strict=False))


# --- what clearing makes of it


@pytest.fixture
def bus(city: City) -> Validator:
    return Validator(city)


def terminal_of(city: City, sam_no: str) -> bytes:
    with city.store.reading() as db:
        return bytes.fromhex(tables.sam(db, sam_no)["terminal"])


def test_records_before_the_link_and_after_the_block_are_refused(city: City, bus: Validator) -> None:
    depot = Depot(city.store)
    depot.now_s = NOON_S - 10_000
    (sam_no,) = installed(depot)
    linked_s = depot.now_s
    bus.terminal = terminal_of(city, sam_no)
    for seq, at_s in ((1, linked_s - 1), (2, linked_s), (3, NOON_S - 100), (4, NOON_S - 50), (5, NOON_S - 49)):
        bus.send([bus.tap(seq, at_s=at_s, counter=seq)])
    with city.store.transaction() as db:
        life.block(db, sam_no, "cover was open", "qian", NOON_S, NOON_S - 50)
    close.clear_day(city.store, city.keys, DAY, NOON_S)
    assert city.states() == [
        ("SUSPECT", "TX-22"), ("CLEARED", DAY), ("CLEARED", DAY), ("SUSPECT", "TX-22"), ("SUSPECT", "TX-22")
    ]  # fmt: skip


def test_a_block_that_is_learned_late_leaves_closed_days_and_names_their_records(city: City, bus: Validator) -> None:
    depot = Depot(city.store)
    depot.now_s = NOON_S - 10_000
    (sam_no,) = installed(depot)
    bus.terminal = terminal_of(city, sam_no)
    for seq in (1, 2):
        bus.send([bus.tap(seq, at_s=NOON_S - 100 * seq, counter=seq)])
    first = close.clear_day(city.store, city.keys, DAY, NOON_S)
    with city.store.transaction() as db:
        done = life.lose(db, sam_no, "bus was stolen", "qian", NOON_S + 60, NOON_S - 100)
        assert done == life.Blocked(refused=0, flagged=1)
        row = db.execute("SELECT detail, owner, closed_at_s FROM anomaly WHERE code = 'TX-22'").fetchone()
        assert tuple(row) == ("sam_blocked", "09990100", None)
    again = close.clear_day(city.store, city.keys, DAY, NOON_S + 120)
    assert city.states() == [("CLEARED", DAY)] * 2 and again.output_digest == first.output_digest
    bus.send([bus.tap(3, at_s=NOON_S, counter=3)])
    close.clear_day(city.store, city.keys, DAY, NOON_S + 180)
    assert city.states()[2] == ("SUSPECT", "TX-22")


def test_a_block_takes_effect_on_records_between_check_and_run(city: City, bus: Validator) -> None:
    depot = Depot(city.store)
    depot.now_s = NOON_S - 10_000
    (sam_no,) = installed(depot)
    bus.terminal = terminal_of(city, sam_no)
    bus.send([bus.tap(1, at_s=NOON_S - 100, counter=1)])
    close.prepare(city.store, city.keys, NOON_S)
    assert city.states()[0][0] == "VERIFIED"
    with city.store.transaction() as db:
        assert life.block(db, sam_no, "clone", "qian", NOON_S, NOON_S - 100) == life.Blocked(refused=1, flagged=0)
    close.clear_day(city.store, city.keys, DAY, NOON_S)
    assert city.states() == [("SUSPECT", "TX-22")]


# --- rolls


def test_a_roll_waits_for_the_last_sam(depot: Depot) -> None:
    depot.keys.versions = (1,)
    old = installed(depot, 2)
    depot.keys.versions = (1, 2)
    with depot.store.transaction() as db:
        with pytest.raises(sam_stock.NotCovered, match=f"2 of 2 installed SAMs lack purchase version 2.*{old[0]}"):
            sam_stock.refuse_uncovered(db, 2)
        sam_stock.refuse_uncovered(db, 1)
        assert sam_stock.coverage(db, 2) == sam_stock.Coverage(2, 0, old, [])
        db.execute("INSERT INTO sam_key VALUES (?, 'purchase', '3DES', 1, 2, '000000', 1)", (old[0],))
        assert sam_stock.coverage(db, 2).have == 1
        life.block(db, old[1], "broken", "qian", depot.clock())
        sam_stock.refuse_uncovered(db, 2)


def test_an_old_sam_from_the_store_is_updated_before_it_is_linked(depot: Depot) -> None:
    depot.keys.versions = (1,)
    (old,) = received(depot, 1)
    depot.keys.versions = (2,)
    installed(depot, 1)
    with depot.store.transaction() as db, pytest.raises(SamRefused, match="lacks .* version 2.*update it first"):
        life.link(db, old, 1, "qian", depot.clock())


# --- the days


def test_a_day_is_closed_once_with_what_was_known_at_its_end(depot: Depot) -> None:
    installed(depot, 2)
    with depot.store.transaction() as db:
        with pytest.raises(SamRefused, match="not over"):
            sam_stock.close_day(db, DAY, "zhou", depot.clock())
    depot.now_s += 86400
    with depot.store.transaction() as db:
        sam_nos = [row["sam_no"] for row in db.execute("SELECT sam_no FROM sam ORDER BY 1")]
        life.lose(db, sam_nos[0], "stolen", "qian", depot.clock())
        (first,) = sam_stock.close_day(db, DAY, "zhou", depot.clock())
        assert (first.issued, first.installed, first.lost) == (2, 2, 0)
        with pytest.raises(SamRefused, match="closed already"):
            sam_stock.close_day(db, DAY, "zhou", depot.clock())
    depot.now_s += 86400
    with depot.store.transaction() as db:
        (second,) = sam_stock.close_day(db, "2025-06-02", "zhou", depot.clock())
        assert (second.issued, second.installed, second.lost) == (2, 1, 1)
        with pytest.raises(SamRefused, match="is no day"):
            sam_stock.close_day(db, "2025-06-31", "zhou", depot.clock())


def test_what_is_issued_is_never_scrapped(depot: Depot) -> None:
    sam_nos = made(depot, 2)
    with depot.store.transaction() as db:
        with pytest.raises(SamRefused, match="is checked: it cannot be scrapped"):
            sams.scrap(db, sam_nos[0], "bad", "zhao", depot.clock())
        life.ship(db, sam_nos, "zhao", depot.clock())
        life.lose(db, sam_nos[0], "truck", "zhao", depot.clock())
        life.find(db, sam_nos[0], "truck again", "zhao", depot.clock())
        life.destroy(db, sam_nos[0], "zhao", depot.clock())
        assert life.destroy(db, sam_nos[0], "sun", depot.clock())
        for sam_no in sam_nos:
            with pytest.raises(SamRefused, match="cannot be scrapped"):
                sams.scrap(db, sam_no, "bad", "zhao", depot.clock())
    now = depot.balanced()
    assert (now.issued, now.stock, now.destroyed) == (2, 1, 1)


def test_a_blocked_sam_leaves_its_slot(depot: Depot) -> None:
    first, second = installed(depot, 2)
    third = received(depot, 1)[0]
    with depot.store.transaction() as db:
        life.block(db, first, "broken", "qian", depot.clock())
        assert not life.link(db, third, 1, "qian", depot.clock())
        assert life.link(db, third, 1, "sun", depot.clock())


def test_a_changed_row_is_found(depot: Depot) -> None:
    (sam_no,) = received(depot, 1)
    with depot.store.transaction() as db:
        db.execute("UPDATE sam SET state = 'lost' WHERE sam_no = ?", (sam_no,))
        with pytest.raises(sam_stock.Unbalanced, match=f"{sam_no} is lost, its last event says received"):
            sam_stock.stock(db)
    for statement in ("DELETE FROM sam", "DELETE FROM sam_event", "UPDATE sam_event SET to_state = 'lost'",
                      "UPDATE sam SET sam_no = '1'", "UPDATE sam SET chip = NULL", "UPDATE sam SET checked_at_s = 1",
                      "INSERT INTO sam_day VALUES ('2025-06-01', '09990111', 'psam', 1, 0, 0, 1, 0, 0, 0, 0, 1, 'x')"):
        with pytest.raises(sqlite3.IntegrityError), depot.store.transaction() as db:
            db.execute(statement)


class Histories(RuleBasedStateMachine):
    """Anything anybody does, in any order, over some days: the equations hold and no number comes twice."""

    people = st.sampled_from(("qian", "sun"))
    pick = st.integers(0, 11)

    @initialize()
    def open(self) -> None:
        import tempfile
        from pathlib import Path

        from backoffice import setup
        from backoffice.tests.forge import AUDIENCE, SAMPLES

        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "city.db"
        setup.init(path, AUDIENCE, False, [SAMPLES / "two_cities.json"])
        self.depot = Depot(Store(path))
        self.given: set[str] = set()
        self.chips = 0
        self.ever_good: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "depot"):
            self.depot.store.close()
            self.folder.cleanup()

    def sam_no(self, pick: int) -> str:
        with self.depot.store.reading() as db:
            rows = [row["sam_no"] for row in db.execute("SELECT sam_no FROM sam ORDER BY sam_no")]
        return rows[pick % len(rows)] if rows else "none"

    def tried(self, act: object) -> None:
        """It is done or refused by name; the database itself never has to refuse."""
        try:
            with self.depot.store.transaction() as db:
                act(db)  # type: ignore[operator]
        except SamRefused:
            pass

    @rule(quantity=st.integers(1, 3))
    def order(self, quantity: int) -> None:
        if len(self.given) < 12:
            self.depot.batch(quantity)

    @rule(pick=pick, to=st.sampled_from(tables.STATES))
    def work(self, pick: int, to: str) -> None:
        """What the maker does, without a chip: one step of it."""

        sam_no = self.sam_no(pick)

        def act(db: sqlite3.Connection) -> None:
            row = tables.sam(db, sam_no)
            if row["state"] in tables.UNFINISHED and (row["state"], to) != (tables.ORDERED, tables.CHECKED):
                tables.move(db, row["sam_no"], to, "worked", "zhao", self.depot.clock())
                if to == tables.SCRAPPED:
                    sam_orders.replace(db, row["batch_id"], "zhao", self.depot.clock())

        self.tried(act)

    @rule(pick=pick, user=people)
    def scrap(self, pick: int, user: str) -> None:
        sam_no = self.sam_no(pick)
        self.tried(lambda db: sams.scrap(db, sam_no, "a reason", user, self.depot.clock()))

    @rule(picks=st.lists(pick, min_size=1, max_size=3), user=people)
    def ship(self, picks: list[int], user: str) -> None:
        wanted = sorted({self.sam_no(pick) for pick in picks})
        self.tried(lambda db: life.ship(db, wanted, user, self.depot.clock()))

    @rule(box=st.integers(1, 4), picks=st.lists(pick, max_size=3), user=people, whole=st.booleans())
    def receive(self, box: int, picks: list[int], user: str, whole: bool) -> None:
        found = [life.ALL] if whole else sorted({self.sam_no(pick) for pick in picks})
        self.tried(lambda db: life.receive(db, box, found, user, self.depot.clock()))

    @rule(pick=pick, user=people, device=st.integers(1, 3))
    def link(self, pick: int, user: str, device: int) -> None:
        sam_no = self.sam_no(pick)
        self.tried(lambda db: life.link(db, sam_no, device, user, self.depot.clock()))

    @rule(pick=pick, user=people, what=st.sampled_from((life.unlink, life.destroy, life.drop_request)))
    def by_two(self, pick: int, user: str, what: object) -> None:
        sam_no = self.sam_no(pick)
        self.tried(lambda db: what(db, sam_no, user, self.depot.clock()))  # type: ignore[operator]

    @rule(pick=pick, user=people, what=st.sampled_from((life.block, life.lose, life.find)))
    def by_one(self, pick: int, user: str, what: object) -> None:
        sam_no = self.sam_no(pick)
        self.tried(lambda db: what(db, sam_no, "a reason", user, self.depot.clock()))  # type: ignore[operator]

    @rule(days=st.integers(1, 2))
    def night(self, days: int) -> None:
        from backoffice.store.days import clearing_day, midnight_s

        today = clearing_day(midnight_s(clearing_day(self.depot.now_s)))
        self.depot.now_s += days * 86400
        self.tried(lambda db: sam_stock.close_day(db, today, "zhou", self.depot.clock()))

    @invariant()
    @precondition(lambda self: hasattr(self, "depot"))
    def adds_up(self) -> None:
        with self.depot.store.reading() as db:
            rows = sam_stock.stock(db)  # raises Unbalanced
            assert all(sam_stock.balances(one) for one in rows)
            known = {row["sam_no"]: row for row in db.execute("SELECT * FROM sam")}
            assert self.given <= set(known), "a number went away"
            self.given = set(known)
            good = {sam_no for sam_no, row in known.items() if row["state"] in tables.ISSUED}
            assert self.ever_good <= good, "what was issued is counted for ever"
            self.ever_good = good
            assert sum(one.issued for one in rows) == len(good)
            assert sum(one.given for one in rows) == len(known)
            rows_open = db.execute("SELECT terminal FROM terminal WHERE to_s = ?", (registry.ALWAYS_S[1],))
            open_rows = {row["terminal"] for row in rows_open}
            linked = {row["terminal"] for row in known.values() if row["state"] == tables.INSTALLED}
            in_devices = {row["terminal"] for row in known.values() if row["device_id"] is not None}
            assert in_devices == linked
            assert open_rows - {"990100000001", "990100000002"} == linked, "clearing knows who is installed"
            for row in db.execute("SELECT settled_by, asked_by FROM sam_request WHERE settled_by IS NOT NULL"):
                assert row["settled_by"] != row["asked_by"]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


def test_thousands_of_numbers_are_all_different(city: City) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    seen: set[int] = set()
    with city.store.transaction() as db:
        for _ in range(200):
            count, first = source.randrange(1, 20), None
            if source.random() < 0.3:
                first = source.randrange(1, 20_000)
            try:
                found = sam_orders.give(db, "9901", count, first)
            except sam_orders.NumberUsed:
                assert first is not None and any(number >= first for number in seen | {2})
                continue
            assert not seen & set(found)
            seen |= set(found)


def test_a_chip_that_was_begun_is_scrapped_by_two_people(depot: Depot) -> None:
    """It may hold every key: by one word it would be a PSAM that nobody counts."""
    blank = depot.blank(1)
    blank.gone_at = 24
    with pytest.raises(CardGone):
        depot.maker(depot.batch(1)).make(blank)
    sam_no = "9901010000000003"
    with depot.store.transaction() as db:
        assert not sams.scrap(db, sam_no, "broken", "zhao", depot.clock())
        with pytest.raises(SamRefused, match="another person does it"):
            sams.scrap(db, sam_no, "broken", "ＺＨＡＯ", depot.clock())
        assert tables.sam(db, sam_no)["state"] in (tables.IN_PROCESS, tables.MADE)
        assert sams.scrap(db, sam_no, "it stays silent", "qian", depot.clock())
    assert depot.states() == ["scrapped"]
