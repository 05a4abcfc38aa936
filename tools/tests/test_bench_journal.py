"""What a record costs: exact counts, on the same chip for both. The goals are those of the figures themselves."""

import pytest

from tools.benches import journal as bench
from validator.slot import SLOT_BYTES


def test_every_counted_figure_meets_its_goal():
    figures = [*bench.journal_programmed(), *bench.journal_erases(), *bench.journal_boot()]
    assert [figure.name for figure in figures if figure.met is False] == []
    assert {figure.name for figure in figures if figure.goal is not None} == {
        "journal.programmed", "journal.erases", "journal.boot.growth",
    }  # fmt: skip


def test_what_a_tap_programs_is_its_record_its_mark_and_its_part_of_a_header():
    cost = bench.journal_cost()
    body, outcome, mark, header = 100, 12, 4, 16 + 96 + 4 + 112
    assert cost.programmed_bytes == pytest.approx(body + outcome + mark + header / bench.PER_SECTOR, abs=0.2)
    assert cost.erases == pytest.approx(1 / bench.PER_SECTOR, abs=1e-4)


def test_littlefs_costs_about_what_others_have_seen():
    cost = bench.littlefs_cost()
    assert 16 * SLOT_BYTES < cost.programmed_bytes < 18 * SLOT_BYTES
    assert 1.0 < cost.erases < 1.1


def test_a_ring_made_of_headers_boots_like_one_that_turned():
    sectors = 16
    turned = bench.NorFlash(sectors, bench.SECTOR_BYTES, bench.PAGE_BYTES)
    bench._ride(bench._journal(turned), (sectors + sectors * 3 // 8) * bench.PER_SECTOR)
    assert bench.boot_reads(turned) == bench.boot_reads(bench.turned_ring(sectors))


def test_years_of_life_follow_from_erases_and_size():
    assert bench.life_years(bench.Cost(0, 1 / 31), 64) == pytest.approx(64 * 100_000 * 31 / (3000 * 365.25))
