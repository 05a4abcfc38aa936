"""`ykt journal dump` explains any image, changes none, and shows no entry that the validator did not write."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import sets
from support.manual_clock import ManualClock
from support.nor import BACKWARD, FORWARD, MARKS_FIRST, Faults, NorFlash, PowerCut
from support.taps import fields
from tools import journal_image, journal_text
from tools.cli import main
from tunion.record import Record
from tunion.wire import reason
from tunion.wire import tap as wire
from tunion.wire.limits import SET_BYTES
from validator import sector as header
from validator.bank import Bank
from validator.cells import sealed
from validator.journal import Journal
from validator.params import sectors_needed
from validator.pointer import Pointer
from validator.ring import JournalFull

EPOCH = 0xC0FFEE01
TAC = b"\x62\x4a\x55\x80"
SECTORS, SECTOR_BYTES = 8, 1024


def boot(flash, epoch=EPOCH):
    journal = Journal(flash, ManualClock(), lambda: epoch)
    while journal.idle():
        pass
    return journal


def tap(journal, number, settles=True):
    claim = journal.claim(**fields(number, terminal_seq=number))
    if settles:
        claim.settle(TAC, wire.MAC2_OK)
    return claim


def worked_flash(faults=None):
    """A journal that went round, with an entry of every kind and state at its end."""
    flash = NorFlash(SECTORS, SECTOR_BYTES, faults=faults)
    journal = boot(flash)
    for number in range(1, 61):
        tap(journal, number)
        journal.ack([[1, journal.seq]])
        while journal.idle():
            pass
    tap(journal, 61)                                                                # acked
    tap(journal, 62)                                                                # rejected
    journal.ack([[61, 61]])
    journal.reject([62])
    tap(journal, 63)                                                                 # waiting
    tap(journal, 64, settles=False)                                                 # open
    journal.event(wire.REFUSED, reason=reason.NOT_ENOUGH_MONEY, card=fields(99)["card"], value=0x9401)
    grey = tap(journal, 66, settles=False)
    grey.give_up()
    grey.prove(TAC, wire.MAC2_UNCHECKED)                                            # and its amend
    return flash


IMAGE = bytes(worked_flash().cells)


def bodies(image):
    """What an image shows: every entry's body as bytes."""
    records: dict[int, Record] = {wire.TAP: wire.TAP_V1, wire.EVENT: wire.EVENT_V1, wire.AMEND: wire.AMEND_V1}
    return {records[entry.body.kind].pack(**entry.body._asdict()) for entry in image.entries()}


def explained(data, sector_bytes=None):
    """The image, after both ways of telling it were made."""
    image = journal_image.read(bytes(data), sector_bytes)
    for waiting in (False, True):
        assert all(isinstance(line, str) for line in journal_text.lines(image, None, waiting))
        json.dumps(journal_text.as_object(image, None, waiting))
    return image


def codes(image):
    return {finding.code for finding in image.findings}


WRITTEN = bodies(explained(IMAGE))


def dump(tmp_path, capsys, data, *options):
    path = tmp_path / "flash.bin"
    path.write_bytes(data)
    code = main(["journal", "dump", str(path), *options])
    assert path.read_bytes() == data
    return code, capsys.readouterr().out


def test_a_sound_image_in_words(tmp_path, capsys):
    code, out = dump(tmp_path, capsys, IMAGE)
    assert code == 0
    assert "8 扇区 sectors × 1024 (据扇区头 | found in the headers)" in out
    assert "日志 journal C0FFEE01" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  #")}
    for seq, words in (
        ("#61", ("已确认 acked", "已扣款 settled", "2.00 元", "2025-06-01 09:10:00", "卡 card …0061")),
        ("#62", ("被拒收 rejected",)),
        ("#63", ("待上传 waiting", "已扣款 settled")),
        ("#64", ("未完成 open", "结果未知 no outcome")),
        ("#65", ("事件 event", "拒绝 refused", "余额不足 not enough money on the card", "卡 card …0099")),
        ("#66", ("灰记录 grey", "见补记 amended")),
        ("#67", ("补记 amend", "#66", "已证实 proved")),
    ):
        for word in words:
            assert word in lines[seq], seq
    assert "!" not in out


def test_no_full_card_number_is_shown(tmp_path, capsys):
    for options in ((), ("--json",), ("--waiting",)):
        out = dump(tmp_path, capsys, IMAGE, *options)[1]
        assert "0310499900" not in out


def test_json_says_the_same(tmp_path, capsys):
    code, out = dump(tmp_path, capsys, IMAGE, "--json")
    found = json.loads(out)
    assert (code, found["broken"], found["findings"], found["epoch"]) == (0, False, [], EPOCH)
    entries = {entry["seq"]: entry for sector in found["sector_list"] for entry in sector["entries"]}
    assert [entries[seq]["state"] for seq in range(61, 68)] == [
        "acked", "rejected", "waiting", "open", "waiting", "waiting", "waiting",
    ]  # fmt: skip
    assert (entries[66]["outcome"], entries[66]["amended"], entries[67]["of_seq"]) == ("grey", True, 66)
    assert all(entry["sound"] for entry in entries.values())


def test_what_waits_and_one_sector(tmp_path, capsys):
    out = dump(tmp_path, capsys, IMAGE, "--waiting")[1]
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  #")] == [
        "#63", "#64", "#65", "#66", "#67",
    ]  # fmt: skip
    _, whole = dump(tmp_path, capsys, IMAGE, "--json")
    newest = next(each["sector"] for each in json.loads(whole)["sector_list"] if each["state"] == "newest")
    code, out = dump(tmp_path, capsys, IMAGE, "--sector", str(newest))
    assert code == 0 and out.count("\n扇区 sector") == 1


def test_wrong_usage(tmp_path, capsys):
    assert dump(tmp_path, capsys, IMAGE, "--sector", "8")[0] == 2
    for options in (("--sector-bytes", "1000"), ("--sector-bytes", "256"), ("--sector-bytes", "x")):
        with pytest.raises(SystemExit) as ended:
            dump(tmp_path, capsys, IMAGE, *options)
        assert ended.value.code == 2
    assert main(["journal", "dump", str(tmp_path / "absent")]) == 1


def test_other_things_are_named_and_nothing_is_invented():
    for data, wanted in (
        (b"", {"blank"}),
        (b"\xff" * 8192, {"blank"}),
        (bytes(8192), {"zeros", "no_journal"}),
        (b"\x55" * 8192, {"foreign", "no_journal"}),
        (random.Random(978).randbytes(8192), {"foreign", "no_journal"}),
        (b"\xff" * 100, {"blank"}),
        (b"YKTJ", {"foreign", "no_journal"}),
    ):
        image = explained(data)
        assert (codes(image), list(image.entries())) == (wanted, [])
        assert journal_text.is_broken(image) == (wanted != {"blank"})


@pytest.mark.parametrize("version", [1, 3])
def test_another_layout_is_named_by_its_number(version):
    data = bytearray(IMAGE)
    for at in range(0, len(data), SECTOR_BYTES):
        other = sealed(header.FORMAT, magic=header.MAGIC, version=version, slot_bytes=128, sectors=SECTORS, erases=1)
        data[at : at + len(other)] = other
    image = explained(data)
    assert (codes(image), list(image.entries())) == ({"other_layout", "no_journal"}, [])
    assert f"layout {version}" in "\n".join(journal_text.lines(image, None, False))


def test_parameter_banks_are_recognised():
    flash = NorFlash(sectors_needed(NorFlash(1, 4096)), 4096)
    bank = Bank(flash, 2, SET_BYTES)
    bank.begin(7, 128, bytes(32))
    bank.stage(sets.payload()[:128])
    Pointer(flash, 0).set(1, 7)
    image = explained(flash.cells)
    assert {"params_bank", "params_pointer"} <= codes(image)
    assert list(image.entries()) == []


def test_a_cut_file_and_one_too_long_keep_what_can_be_proven():
    short = explained(IMAGE[: 5 * SECTOR_BYTES + 300])
    assert "cut_off" in codes(short) and short.geometry.sector_bytes == SECTOR_BYTES
    assert set() < bodies(short) < WRITTEN
    longer = explained(IMAGE + b"\xff" * 700)
    assert "too_long" in codes(longer) and bodies(longer) == WRITTEN


def test_two_journals_and_a_wrong_place():
    other = NorFlash(SECTORS, SECTOR_BYTES)
    tap(boot(other, epoch=2), 1)
    assert "two_journals" in codes(explained(bytes(other.cells[:SECTOR_BYTES]) + IMAGE[SECTOR_BYTES:]))
    assert "out_of_order" in codes(explained(IMAGE[SECTOR_BYTES:] + IMAGE[:SECTOR_BYTES]))


def test_an_entry_that_rotted_is_missed_and_not_shown():
    image = explained(IMAGE)
    victim = next(entry for entry in image.entries() if entry.body.seq == 61)
    data = bytearray(IMAGE)
    data[victim.sector * SECTOR_BYTES + victim.slot * 128 + 40] ^= 4
    image = explained(data)
    assert {"rotted", "missing"} <= codes(image)
    assert len(WRITTEN - bodies(image)) == 1


def test_a_lost_header_leaves_its_entries_unproven():
    victim = next(entry for entry in explained(IMAGE).entries() if entry.body.seq == 63)
    data = bytearray(IMAGE)
    at = victim.sector * SECTOR_BYTES
    data[at : at + 112] = random.Random(1).randbytes(112)
    image = explained(data)
    assert "header_lost" in codes(image)
    assert bodies(image) == WRITTEN


@pytest.mark.parametrize("cut", range(0, 240, 7))
def test_what_a_power_cut_leaves_is_no_damage(cut):
    flash = worked_flash(Faults(cut)).rebooted()
    journal = boot(flash)
    flash.cut_after = cut
    try:
        tap(journal, 70)
        tap(journal, 71)
    except PowerCut:
        pass
    image = explained(flash.cells)
    assert not journal_text.is_broken(image), image.findings


@pytest.mark.parametrize("order", [FORWARD, BACKWARD, MARKS_FIRST])
def test_an_erase_cut_short_is_no_damage(order):
    start = NorFlash(SECTORS, SECTOR_BYTES, erase_order=order)
    journal = boot(start)
    for number in range(1, 7 * SECTORS):
        journal.idle()
        tap(journal, number)
        journal.ack([[1, journal.seq]])
    with pytest.raises(JournalFull):
        for number in range(100, 200):
            tap(journal, number)
    journal.ack([[1, journal.seq]])
    states = set()
    for faults in (None, Faults(5)):
        for cut in range(0, 140, 7):
            flash = start.twin()
            flash.faults = faults and faults.twin()
            journal = Journal(flash, ManualClock(), lambda: EPOCH)
            flash.cut_after = cut
            with pytest.raises(PowerCut):
                while journal.idle():
                    pass
            image = explained(flash.cells)
            assert not journal_text.is_broken(image), (cut, image.findings)
            states |= {each.state for each in image.sectors}
    assert "erasing" in states


def test_single_flipped_bits_show_no_stranger():
    for at in range(0, len(IMAGE), 11):     # every slot offset in some slot
        data = bytearray(IMAGE)
        data[at] ^= 1 << at % 8
        image = journal_image.read(bytes(data))
        assert bodies(image) <= WRITTEN


@given(st.lists(st.tuples(st.integers(0, len(IMAGE) - 1), st.integers(0, 255)), max_size=40))
def test_spoilt_images_show_only_what_was_written(changes):
    data = bytearray(IMAGE)
    for at, value in changes:
        data[at] = value
    assert bodies(explained(data)) <= WRITTEN


@given(st.binary(max_size=3000), st.integers(0, len(IMAGE)), st.sampled_from([None, 512, 1024, 4096]))
def test_any_bytes_anywhere_are_explained(noise, at, sector_bytes):
    assert list(explained(noise, sector_bytes).entries()) == []
    assert bodies(explained(IMAGE[:at] + noise + IMAGE[at:], sector_bytes)) <= WRITTEN
