"""A small journal that knows all states of an entry, and what one flipped bit of it may change: it invents nothing."""

from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.taps import fields
from tunion.wire import tap as wire
from validator.cells import ForeignFlash
from validator.journal import Journal

TAC = b"\x62\x4a\x55\x80"
ALL = [[1, 0xFFFFFFFF]]
IDLE_MAX = 1000


class Wrong(Exception):
    """With this bit flipped the journal does what it must not."""


def used_flash() -> NorFlash:
    """Six small sectors with all that a journal knows: drained, half acked, rejected, open, grey, amended, ready."""
    flash = NorFlash(sectors=6)
    journal = journal_on(flash)
    for number in range(38):
        idle(journal)
        settled(journal, number)
        if number == 24:
            journal.ack([[1, 20], [23, 23]])
    journal.reject([24])
    journal.claim(**fields(50)).give_up()
    journal._claims[0].prove(TAC, wire.MAC2_UNCHECKED)
    journal.claim(**fields(51))
    return flash


def check(flash: NorFlash, bit: int, before: "dict[int, bytes]") -> None:
    """With one bit flipped the journal starts, sends nothing that it did not send before, and lives on. Raises Wrong.

    before   {seq: wire bytes} of what the unharmed journal sends
    """
    twin = flash.twin()
    twin.cells[bit // 8] ^= 1 << bit % 8
    try:
        journal = journal_on(twin)
    except ForeignFlash as found:
        raise Wrong("bit %d: %s" % (bit, found))
    after = sent(journal)
    for seq in after:
        if before.get(seq) != after[seq] and not _tells_of_flash(after[seq]) and not _amended(seq, after[seq], before):
            raise Wrong("bit %d: entry %d was not there before" % (bit, seq))
    if len(set(before) - set(after)) > 1:
        raise Wrong("bit %d: more than its own entry is gone: %r" % (bit, sorted(set(before) - set(after))))
    for claim in journal.open_claims():
        claim.give_up()
    expected = journal.seq + 1
    if settled(journal, 60) != expected:
        raise Wrong("bit %d: the next tap has not the next number" % bit)
    idle(journal)
    journal.ack(ALL)
    if sent(journal) or journal.waiting:
        raise Wrong("bit %d: %d entries wait after all was acknowledged" % (bit, journal.waiting))


def journal_on(flash: NorFlash) -> Journal:
    return Journal(flash, ManualClock(), lambda: 0xC0FFEE01)


def idle(journal: Journal) -> None:
    """Until nothing is to be done."""
    for _ in range(IDLE_MAX):
        if not journal.idle():
            return
    raise Wrong("idle never ended")


def settled(journal: Journal, number: int = 0) -> int:
    claim = journal.claim(**fields(number))
    claim.settle(TAC, wire.MAC2_OK)
    return claim.seq


def sent(journal: Journal) -> "dict[int, bytes]":
    """{seq: wire bytes} of all that waits."""
    idle(journal)
    return dict(journal.pending(100000, 100000000))


def _tells_of_flash(entry: bytes) -> bool:
    body, _ = wire.from_wire(entry)
    return body.kind == wire.EVENT and body.code in (wire.FLASH_WORN, wire.FILLING)


def _amended(seq: int, entry: bytes, before: "dict[int, bytes]") -> bool:
    """A tap whose grey outcome rotted is sent with what its amend proved."""
    if seq not in before:
        return False
    body, outcome = wire.from_wire(entry)
    was, _ = wire.from_wire(before[seq])
    entries = [wire.from_wire(each) for each in before.values()]
    amends = [each for each in entries if each[0].kind == wire.AMEND and each[0].of_seq == seq]
    return body == was and [amend[1] for amend in amends] == [outcome]
