"""Any list changes into any other by its delta; any list is searched as a sorted Python list is; denser power cuts."""

import bisect

from hypothesis import given, settings
from hypothesis import strategies as st

from support import card_lists as made
from support.list_life import UPDATES, Life, sweep
from support.nor import BACKWARD, FORWARD, Faults, NorFlash
from validator import denylist
from validator.deny_store import BLOCK_RECORDS, SPAN_RECORDS, Sorted
from validator.list_views import DenyView

NUMBERS = st.sets(st.integers(0, 400), max_size=300)


@settings(max_examples=40)
@given(NUMBERS, st.sets(st.integers(0, 400), max_size=120))
def test_a_delta_leads_from_any_list_to_any_other(before, changed):
    old, new = made.records(before), made.records(before ^ changed)
    life = Life(blobs={(1, 0): made.full(1, old), (2, 1): made.delta(1, old, 2, new)})
    life.settle(life.offer((1, 0)))
    assert life.content() == old
    life.settle(life.offer((2, 1)))
    assert (life.store.version, life.content()) == (2, new)


@given(
    st.lists(st.integers(0, 3000), max_size=900, unique=True),
    st.lists(st.integers(0, 3001), max_size=40),
    st.integers(0, 1),
)
def test_a_search_finds_the_last_record_that_is_not_above(numbers, wanted, fills):
    flash = NorFlash(sectors=16, sector_bytes=1024)
    content = made.records(numbers)
    flash.cells[100 : 100 + len(content)] = content
    searched = Sorted(flash, 10, 900)
    searched.open(100, len(numbers))
    if fills:
        while not searched.fill():
            pass
    ordered = sorted(numbers)
    for number in wanted:
        at = bisect.bisect_right(ordered, number)
        assert searched.find(made.serial(number)) == (made.serial(ordered[at - 1]) if at else b"")


def test_blocks_and_spans_halve_evenly():
    assert BLOCK_RECORDS % SPAN_RECORDS == 0 and BLOCK_RECORDS // SPAN_RECORDS == 4


def test_the_power_may_fail_at_many_more_points():
    for order in (FORWARD, BACKWARD):
        for name in UPDATES:
            assert sweep(name, order, Faults(8, pages=order is BACKWARD), 89, 211, 89) > 3000


def test_the_longest_list_and_the_longest_delta_fit_and_are_found() -> None:
    old = made.records(range(0, 300000, 3))
    new = made.records(sorted(set(range(0, 300000, 3)) - set(range(0, 9000, 3)) | set(range(1, 9001, 3))))
    blobs = {(1, 0): made.full(1, old), (2, 1): made.delta(1, old, 2, new)}
    life = Life(count_max=100000, delta_max=6000, blobs=blobs)
    for version, content in ((1, old), (2, new)):
        life.settle(life.offer((version, version - 1)))
        assert (life.store.version, life.content() == content) == (version, True)
    life.turns(30)
    assert life.store.ram_bytes <= 8192
    denied = DenyView(life.store, denylist.from_bytes(0, b""))
    for number in range(0, 12000, 17):
        expected = number % 3 == 1 if number <= 9000 else number % 3 == 0
        assert (made.serial(number) in denied) == expected
