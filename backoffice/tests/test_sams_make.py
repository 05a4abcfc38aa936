"""PSAMs are made from blanks: right, and wherever the chip is pulled out; never counted as good when they are not."""

import sqlite3
from pathlib import Path

import pytest

from backoffice.cards import channel as ch
from backoffice.cards.line import CardGone
from backoffice.keys import sam_orders, sam_stock, sams
from backoffice.store import sam_tables as tables
from backoffice.store.engine import Store
from backoffice.tests.chips import Blank, SampleKeys, root
from backoffice.tests.forge import ISSUERS, NOON_S, City
from tunion.card import psam

OPERATOR, ACQUIRER = "09990111", "09990100"
ALDER = ISSUERS["alder"]


class Depot:
    """A city's database, sample keys, and blanks by number."""

    def __init__(self, store: Store, keys: SampleKeys | None = None) -> None:
        self.store = store
        self.keys = keys or SampleKeys()
        self.now_s = NOON_S

    def clock(self) -> int:
        self.now_s += 1
        return self.now_s

    def order(self, quantity: int = 3, scheme: str = "3DES", **changed: object) -> sam_orders.Order:
        fields: dict[str, object] = {
            "kind": "psam", "operator": OPERATOR, "acquirer": ACQUIRER, "quantity": quantity, "slots": 2,
            "issuer": ALDER, "start": "20250101", "expiry": "20301231", "profile": f"sample_psam_{scheme.lower()}",
        }  # fmt: skip
        return sam_orders.Order(**{**fields, **changed})  # type: ignore[arg-type]

    def batch(self, quantity: int = 3, scheme: str = "3DES") -> int:
        with self.store.transaction() as db:
            order_id = sam_orders.order(db, self.keys, self.order(quantity, scheme), "li", self.clock())
            return sam_orders.approve(db, order_id, "wang", self.clock())[0]

    def maker(self, batch_id: int) -> sams.Maker:
        return sams.Maker(self.store, self.keys, batch_id, "zhao", self.clock)

    def blank(self, number: int, scheme: str = "3DES", version: int = 0) -> Blank:
        version = version or max(self.keys.versions)
        return Blank(number.to_bytes(8, "big"), root(f"transport-{scheme}-{version}"), scheme)

    def states(self) -> list[str]:
        with self.store.reading() as db:
            return [row["state"] for row in db.execute("SELECT state FROM sam ORDER BY sam_no")]

    def balanced(self) -> sam_stock.Stock:
        with self.store.reading() as db:
            return sam_stock.total(sam_stock.stock(db))


@pytest.fixture
def depot(city: City) -> Depot:
    return Depot(city.store)


@pytest.mark.parametrize("scheme", ("3DES", "AES"))
@pytest.mark.parametrize("get_response", (False, True))
def test_a_blank_becomes_a_psam(depot: Depot, scheme: str, get_response: bool) -> None:
    batch_id = depot.batch(2, scheme)
    maker = depot.maker(batch_id)
    blank = depot.blank(1, scheme)
    blank.get_response = get_response
    made = maker.make(blank)

    assert made.terminal == "990100000003"  # 1 and 2 are registered: they were given elsewhere
    assert made.sam_no == "9901010000000003"
    assert blank.stage == 2 and not blank.powered
    assert blank.files[psam.TERMINAL_SFI] == bytes.fromhex(made.terminal)
    assert psam.IDENTITY.unpack(blank.files[psam.IDENTITY_SFI]).serial == bytes.fromhex("0000" + made.sam_no)
    own = psam.APPLICATION.unpack(blank.files[psam.APPLICATION_SFI])
    assert (own.issuer, own.start, own.expiry) == (ALDER, bytes.fromhex("20250101"), bytes.fromhex("20301231"))
    assert {(usage, version) for usage, _, version in blank.keys} == {
        ("purchase", 1), ("purchase", 2), ("maintenance", 1), ("maintenance", 2)
    }  # fmt: skip
    for (usage, _, version), (_, value) in blank.keys.items():
        assert value == root(f"{usage}-3DES-{version}")
    assert [(key.purpose, key.version) for key in made.keys] == [
        ("maintenance", 1), ("maintenance", 2), ("purchase", 1), ("purchase", 2)
    ]  # fmt: skip
    assert all(len(key.kcv) == 6 for key in made.keys)
    assert depot.states() == ["checked", "ordered"] and maker.missing() == 1
    assert depot.balanced().issued == 1


def test_a_batch_takes_as_many_chips_as_were_ordered(depot: Depot) -> None:
    maker = depot.maker(depot.batch(2))
    for number in (1, 2):
        maker.make(depot.blank(number))
    with pytest.raises(sams.BatchDone):
        maker.make(depot.blank(3))
    assert maker.missing() == 0


@pytest.mark.parametrize("scheme", ("3DES", "AES"))
@pytest.mark.parametrize("before", (True, False))
def test_a_chip_that_is_pulled_out_goes_on_wherever_it_was(depot: Depot, scheme: str, before: bool) -> None:
    whole = depot.blank(999, scheme)
    maker = depot.maker(depot.batch(1, scheme))
    maker.make(whole)
    cuts = whole.sent
    assert cuts > 25

    batch_id = depot.batch(cuts, scheme)
    maker = depot.maker(batch_id)
    for cut in range(1, cuts + 1):
        blank = depot.blank(cut, scheme)
        blank.gone_at, blank.before = cut, before
        with pytest.raises(CardGone):
            maker.make(blank)
        good = depot.balanced().issued
        assert good == cut  # the one before, and those of this batch that went on
        maker.make(blank)
        assert blank.stage == 2 and depot.balanced().issued == cut + 1
    assert maker.missing() == 0
    assert depot.states() == ["checked"] * (cuts + 1)


def test_a_chip_that_is_pulled_out_at_every_command_in_turn(depot: Depot) -> None:
    """The same chip, pulled one command later each time: no number is spent twice, and no try is lost."""
    maker = depot.maker(depot.batch(1))
    blank = depot.blank(1)
    for cut in range(1, 200):
        blank.sent, blank.gone_at, blank.before = 0, cut, bool(cut % 2)
        try:
            made = maker.make(blank)
            break
        except CardGone:
            assert depot.balanced().issued == 0
    assert made.resumed and depot.states() == ["checked"] and blank.tries == 3


def test_the_wrong_transport_key_takes_no_number_and_locks_no_chip(depot: Depot) -> None:
    maker = depot.maker(depot.batch(1))
    blank = depot.blank(1, version=1)  # the vendor used another one
    for kind in (ch.WrongControlKey, ch.WrongControlKey, ch.LastTry, ch.LastTry):
        with pytest.raises(kind):
            maker.make(blank)
    assert blank.tries == 1 and depot.states() == ["ordered"]
    assert depot.balanced().issued == 0


def test_chips_that_were_written_before_are_told_apart(depot: Depot) -> None:
    first, second = depot.batch(2), depot.batch(1)
    blank = depot.blank(1)
    depot.maker(first).make(blank)
    with pytest.raises(sams.AlreadyMade, match="this chip is SAM 9901010000000003, checked"):
        depot.maker(first).make(blank)
    strange = depot.blank(2)
    strange.stage = 2
    with pytest.raises(sams.NotBlank, match="stage 2"):
        depot.maker(first).make(strange)
    begun = depot.blank(3)
    begun.gone_at = 9
    with pytest.raises(CardGone):
        depot.maker(first).make(begun)
    with pytest.raises(sams.AlreadyMade, match=f"of batch {first}"):
        depot.maker(second).make(begun)
    assert depot.states() == ["checked", "in_process", "ordered"]


def test_a_wrong_mac1_scraps_the_chip_and_its_number(depot: Depot) -> None:
    maker = depot.maker(depot.batch(1))
    blank = depot.blank(1)
    blank.spoil_mac1 = True
    with pytest.raises(sams.Scrapped, match="MAC1"):
        maker.make(blank)
    with pytest.raises(sams.AlreadyMade, match="scrapped"):
        maker.make(blank)
    made = maker.make(depot.blank(2))
    assert made.terminal == "990100000004"  # not the scrapped one again
    assert depot.states() == ["scrapped", "checked"]
    now = depot.balanced()
    assert (now.given, now.issued, now.scrapped) == (2, 1, 1)


class Lying(Blank):
    """Takes any MAC2, forgets a file, or has a dead cell: `lie`."""

    lie = ""

    def _credit(self, data: bytes) -> bytes:
        if self.lie == "mac2":
            self.session = None
            return b""
        return super()._credit(data)

    def _secured(self, head: bytes, apdu: bytes, data: bytes) -> None:
        super()._secured(head, apdu, data)
        if self.lie == "file" and head[1:3] == b"\xd6\x97":
            self.files[0x17] = bytes(25)
        if self.lie == "memory" and head[1] == 0xD6:
            raise self.no(0x6581)

    def no(self, word: int) -> Exception:
        from backoffice.tests.chips import _No

        return _No(word)


@pytest.mark.parametrize(
    ("lie", "said"), [("mac2", "takes a wrong MAC2"), ("file", "file 17 does not read back"), ("memory", "6581")]
)
def test_a_chip_that_is_not_as_it_should_be_is_never_good(depot: Depot, lie: str, said: str) -> None:
    blank = Lying((7).to_bytes(8, "big"), root("transport-3DES-2"))
    blank.lie = lie
    with pytest.raises(sams.Scrapped, match=said):
        depot.maker(depot.batch(1)).make(blank)
    assert depot.states() == ["scrapped"] and depot.balanced().issued == 0


def test_keys_that_are_not_those_ordered_are_refused_before_the_chip_is_touched(depot: Depot) -> None:
    batch_id = depot.batch(1)

    class Other(SampleKeys):
        def kcv(self, path: object) -> str:
            return "ABCDEF"

    blank = depot.blank(1)
    with pytest.raises(sams.KeysChanged, match="order anew"):
        sams.Maker(depot.store, Other(), batch_id, "zhao", depot.clock).make(blank)
    assert not blank.sent and depot.states() == ["ordered"]


def test_expired_sams_are_not_made(depot: Depot) -> None:
    batch_id = depot.batch(1)
    depot.now_s += 7 * 366 * 86400
    with pytest.raises(tables.SamRefused, match="expired on 20301231"):
        depot.maker(batch_id).make(depot.blank(1))


def test_a_full_disk_leaves_a_chip_that_goes_on(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database refuses at each of its writes in turn; the chip is put in again."""
    from backoffice.store.engine import Busy

    maker = depot.maker(depot.batch(1))
    blank = depot.blank(1)
    true = depot.store.transaction
    for fails_at in range(1, 10):
        count = 0

        def refusing():  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            if count == fails_at:  # noqa: B023
                raise Busy("the disk is full")
            return true()

        monkeypatch.setattr(depot.store, "transaction", refusing)
        try:
            made = maker.make(blank)
            break
        except Busy:
            assert depot.balanced().issued == 0
    assert made.resumed and depot.states() == ["checked"]


# --- orders


def test_an_order_takes_two_people_and_says_which_keys(depot: Depot) -> None:
    with depot.store.transaction() as db:
        order_id = sam_orders.order(db, depot.keys, depot.order(5), "Li ", 1)
        with pytest.raises(tables.SamRefused, match="another person approves it"):
            sam_orders.approve(db, order_id, "li", 2)
        batches = sam_orders.approve(db, order_id, "wang", 2, batch_size=2)
        assert len(batches) == 3
        with pytest.raises(tables.SamRefused, match="approved by wang"):
            sam_orders.approve(db, order_id, "zhao", 3)
        found = sam_orders.keys_of(db, order_id)
        assert [key[:4] for key in found] == [
            ("maintenance", "3DES", 1, 1), ("maintenance", "3DES", 1, 2), ("purchase", "3DES", 1, 1),
            ("purchase", "3DES", 1, 2),
        ]  # fmt: skip
    with pytest.raises(sqlite3.IntegrityError), depot.store.transaction() as db:
        db.execute("UPDATE sam_order SET approved_by = 'zhao'")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"operator": "nobody"}, "no registered organisation"),
        ({"quantity": 0}, "an order is of 1 to"),
        ({"slots": 9}, "SAM slots"),
        ({"issuer": b"1"}, "8 bytes"),
        ({"start": "20250230"}, "days YYYYMMDD"),
        ({"expiry": "20240101"}, "days YYYYMMDD"),
        ({"profile": "sample_card_aes"}, "is for a card"),
        ({"profile": ""}, "--profile sample_psam_3des or sample_psam_aes"),
        ({"kind": "isam"}, "leave --profile out"),
        ({"kind": "esam"}, "psam or isam or soft"),
    ],
)
def test_orders_that_cannot_be(depot: Depot, changed: dict[str, object], said: str) -> None:
    with pytest.raises(tables.SamRefused, match=said), depot.store.transaction() as db:
        sam_orders.order(db, depot.keys, depot.order(**changed), "li", 1)  # type: ignore[arg-type]


def test_numbers_are_given_once(depot: Depot) -> None:
    with depot.store.transaction() as db:
        assert sam_orders.give(db, "9901", 3) == [3, 4, 5]  # 1 and 2 are registered terminals
        assert sam_orders.give(db, "9901", 2, first=100) == [100, 101]
        for first in (1, 5, 50, 101):
            with pytest.raises(sam_orders.NumberUsed):
                sam_orders.give(db, "9901", 1, first=first)
        assert sam_orders.give(db, "9901", 1) == [102]
        assert sam_orders.give(db, "9902", 1) == [1]
        with pytest.raises(tables.SamRefused, match="numbers left"):
            sam_orders.give(db, "9901", 2, first=99_999_999)
    for statement in ("UPDATE sam_range SET next = 1", "DELETE FROM sam_range"):
        with pytest.raises(sqlite3.IntegrityError), depot.store.transaction() as db:
            db.execute(statement)


def test_a_changed_profile_is_not_what_was_approved(depot: Depot, tmp_path: Path) -> None:
    from backoffice.cards import profile as pr

    path = tmp_path / "mine.json"
    path.write_bytes((pr.PROFILES / "sample_psam_3des.json").read_bytes())
    with depot.store.transaction() as db:
        order_id = sam_orders.order(db, depot.keys, depot.order(profile=str(path)), "li", 1)
        batch_id = sam_orders.approve(db, order_id, "wang", 2)[0]
    path.write_text(path.read_text().replace("invented by", "Invented by"))
    with pytest.raises(tables.SamRefused, match="was changed since order"):
        depot.maker(batch_id)


# --- somebody who wants a SAM that nobody counts


class Slot(Blank):
    """A line on which another chip lies from its power-on of that number on."""

    def __init__(self, chips: list[Blank], at: int) -> None:
        self.chips, self.left = chips, at

    def power_on(self) -> bytes:
        self.left -= 1
        return self.chips[self.left < 0].power_on()

    def power_off(self) -> None:
        self.chips[self.left < 0].power_off()

    def transceive(self, apdu: bytes) -> bytes:
        return self.chips[self.left < 0].transceive(apdu)


def test_a_chip_that_was_swapped_after_its_reset_is_not_the_one_that_was_written(depot: Depot) -> None:
    maker = depot.maker(depot.batch(2))
    first, second = depot.blank(1), depot.blank(2)
    maker.make(second)
    with pytest.raises(tables.SamRefused, match="another chip"):
        maker.make(Slot([first, second], 1))
    assert depot.states() == ["checked", "made"]  # it waits, and is not scrapped
    assert maker.make(first).resumed and maker.missing() == 0


@pytest.mark.parametrize("at", (1, 2))
def test_a_key_is_noted_for_the_chip_that_has_it(depot: Depot, at: int) -> None:
    depot.keys.versions = (1,)
    maker = depot.maker(depot.batch(2))
    first, second = depot.blank(1), depot.blank(2)
    for chip in (first, second):
        maker.make(chip)
    depot.keys.versions = (1, 2)
    assert len(sams.update(depot.store, depot.keys, second, "zhao", depot.clock)) == 2
    with pytest.raises(tables.SamRefused, match="another chip"):
        sams.update(depot.store, depot.keys, Slot([first, second], at), "zhao", depot.clock)
    assert len(sams.update(depot.store, depot.keys, first, "zhao", depot.clock)) == 2


def test_a_sam_none_of_whose_keys_is_in_use_is_not_called_good(depot: Depot) -> None:
    depot.keys.versions = (1,)
    blank = depot.blank(1)
    depot.maker(depot.batch(1)).make(blank)
    depot.keys.versions = (2,)
    with pytest.raises(tables.SamRefused, match="no purchase key of it is in use"):
        sams.check_again(depot.store, depot.keys, blank, "zhao", depot.clock)


@pytest.mark.parametrize("name", ["LI", " li", "ｌｉ", "l i"])
def test_an_order_is_not_approved_by_who_placed_it_in_another_spelling(depot: Depot, name: str) -> None:
    with depot.store.transaction() as db:
        order_id = sam_orders.order(db, depot.keys, depot.order(1), "li", 1)
        with pytest.raises(tables.SamRefused, match="another person approves it"):
            sam_orders.approve(db, order_id, name, 2)


def test_a_database_put_back_gives_no_sam_number_twice(depot: Depot, tmp_path: Path) -> None:
    depot.batch(2)
    copy = list(depot.store._db.iterdump())
    path = depot.store.path
    given = depot.batch(3), depot.batch(20)
    with depot.store.reading() as db:
        numbers = {row["sam_no"] for row in db.execute("SELECT sam_no FROM sam WHERE batch_id IN (?, ?)", given)}
    assert len(numbers) == 23
    depot.store.close()
    for name in path.parent.glob(path.name + "*"):
        if name.suffix != ".sams":
            name.unlink()
    with sqlite3.connect(path) as old:
        old.executescript("\n".join(copy))
    old.close()
    restored = Depot(Store(path))
    batch_id = restored.batch(2)
    with restored.store.reading() as db:
        again = {row["sam_no"] for row in db.execute("SELECT sam_no FROM sam WHERE batch_id = ?", (batch_id,))}
        with pytest.raises(sam_orders.NumberUsed):
            sam_orders.give(db, "9901", 1, first=10)
    assert len(again) == 2 and not again & numbers
    restored.store.close()


def test_a_line_of_sam_numbers_that_was_cut_short_is_none(depot: Depot) -> None:
    path = depot.store.path
    beside = path.with_name(path.name + ".sams")
    beside.write_text("9901 50\n9901 99999")
    with depot.store.transaction() as db:
        assert sam_orders.give(db, "9901", 1) == [50]
        assert sam_orders.give(db, "9902", 1) == [1]
    assert beside.read_text().splitlines()[-2:] == ["9901 51", "9902 2"]
