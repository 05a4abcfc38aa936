"""A journal's flash image, read without changing or believing it: what each sector and slot holds, what is wrong.

Never mounts the journal, which programs what it finds half done. Any bytes may be given, of any length: nothing here
raises for what an image holds, and an entry is shown only where its own CRC proves it.
Every byte and why: firmware/docs/journal.md.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunion import bcd
from tunion.crc import crc32
from tunion.record import BadInput
from tunion.wire import tap as wire
from validator import bank, cells, pointer, sector, slot

SECTOR_BYTES = 4096         # where nothing in the image tells
STEP_BYTES = 256            # every sector begins at a multiple of it
SECTOR_BYTES_MIN = 512      # a header, three entries
_VOID_AT_LEAST = sector.VOID_BYTES * 7 // 8     # bytes 00 or FF of a header that was given up: some may waver
_MARKS = ((slot.ACKED_AT, "acked"), (slot.REJECTED_AT, "rejected"), (slot.RETIRED_AT, "retired"))
_RECORDS = {wire.TAP: wire.TAP_V1, wire.EVENT: wire.EVENT_V1, wire.AMEND: wire.AMEND_V1}
KINDS = {wire.TAP: "tap", wire.EVENT: "event", wire.AMEND: "amend"}
OUTCOMES = {
    wire.SETTLED: "settled", wire.PROVED: "proved", wire.VOID: "void", wire.DISPUTED: "disputed", wire.GREY: "grey",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Geometry:
    """`told_by`: "option", "header" or "nothing"."""

    sector_bytes: int
    sectors: int
    told_by: str


@dataclasses.dataclass
class Entry:
    """One whole entry. `state`: acked, rejected, drained (let go with its sector), waiting, open.

    outcome     of a tap or amend, None: there is none yet
    amended     the outcome is that of a later amend, or a later amend improves it
    half        marks that a power cut left half way
    """

    sector: int
    slot: int
    body: Any
    state: str
    outcome: Any
    amended: bool
    half: tuple[str, ...]

    @property
    def kind(self) -> str:
        return KINDS[self.body.kind]

    @property
    def card(self) -> str | None:
        """The last four digits; None where no card is meant."""
        card = getattr(self.body, "card", bytes(10))
        if card == bytes(10):
            return None
        return "…" + bcd.to_digits(card)[-4:] if bcd.is_bcd(card) else "…?"


@dataclasses.dataclass
class Sector:
    """`state` is a key of journal_text.STATES. torn: slots cut short; rotted: whole once; retired: never used again."""

    number: int
    state: str
    epoch: int | None = None
    generation: int | None = None
    first_seq: int | None = None
    erases: int | None = None
    entries: list[Entry] = dataclasses.field(default_factory=list)
    torn: list[int] = dataclasses.field(default_factory=list)
    rotted: list[int] = dataclasses.field(default_factory=list)
    retired: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Finding:
    """`code` is a key of journal_text.FINDINGS; `details` are its words' values."""

    code: str
    sector: int | None = None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Image:
    """All that could be read."""

    bytes: int
    geometry: Geometry
    epoch: int | None
    sectors: list[Sector]
    findings: list[Finding]

    def entries(self) -> Iterator[Entry]:
        """Oldest first: by generation, then slot; entries of lost sectors last."""
        for each in sorted(self.sectors, key=lambda each: (each.generation is None, each.generation, each.number)):
            yield from each.entries


def read(data: bytes, sector_bytes: int | None = None) -> Image:
    """Explain an image. `sector_bytes`: None to find out."""
    geometry, heads = _geometry(data, sector_bytes)
    sectors = [_sector(data, number, geometry) for number in range(math.ceil(len(data) / geometry.sector_bytes))]
    epoch = _main_epoch(sectors)
    findings = list(_length(data, geometry)) if heads else []
    findings += _judge(sectors, geometry, epoch)
    _resolve(sectors)
    findings += _sequence(sectors)
    return Image(len(data), geometry, epoch, sectors, findings)


# -- geometry ---------------------------------------------------------------------------------------------------


def _geometry(data: bytes, sector_bytes: int | None) -> tuple[Geometry, list[int]]:
    """And where headers lie."""
    step = sector_bytes or STEP_BYTES
    heads = [at for at in range(0, len(data) - sector.HEADER_BYTES + 1, step) if _is_head(data, at)]
    counts = Counter(found.sectors for at in heads if (found := _format(data, at)) is not None and found.sectors)
    said = counts.most_common(1)[0][0] if counts else 0
    if sector_bytes:
        return Geometry(sector_bytes, said or max(1, len(data) // sector_bytes), "option"), heads
    fits = len(data) // said if said else 0
    if said and len(data) % said == 0 and fits >= SECTOR_BYTES_MIN and all(at % fits == 0 for at in heads):
        return Geometry(fits, said, "header"), heads
    together = math.gcd(*heads)
    if together >= SECTOR_BYTES_MIN:
        return Geometry(together, said or max(1, len(data) // together), "header"), heads
    return Geometry(SECTOR_BYTES, said or max(1, len(data) // SECTOR_BYTES), "nothing"), heads


def _is_head(data: bytes, at: int) -> bool:
    return _format(data, at) is not None or _use(data, at) is not None


def _format(data: bytes | bytearray, at: int) -> Any:
    """FORMAT of whatever version, None where it is not whole."""
    found = _whole(sector.FORMAT, data, at + sector.FORMAT_AT)
    return found if found is not None and found.magic == sector.MAGIC else None


def _use(data: bytes | bytearray, at: int) -> Any:
    return _whole(sector.USE, data, at + sector.USE_AT[0]) or _whole(sector.USE, data, at + sector.USE_AT[1])


def _whole(record: Any, data: bytes | bytearray, at: int) -> Any:
    """The record if its last field is the CRC of those before it."""
    blob = data[at : at + record.size]
    if len(blob) < record.size or crc32(blob[:-4]) != int.from_bytes(blob[-4:], "big"):
        return None
    return record.unpack(blob)


def _length(data: bytes, geometry: Geometry) -> Iterator[Finding]:
    wanted = geometry.sectors * geometry.sector_bytes
    if len(data) != wanted:
        yield Finding("cut_off" if len(data) < wanted else "too_long", None, {"found": len(data), "wanted": wanted})


# -- sectors ----------------------------------------------------------------------------------------------------


def _sector(data: bytes, number: int, geometry: Geometry) -> Sector:
    """One sector by itself."""
    at = number * geometry.sector_bytes
    raw = bytearray(data[at : at + geometry.sector_bytes])
    found, use = _format(raw, 0), _use(raw, 0)
    if len(raw) < sector.HEADER_BYTES or (found is None and use is None and _is_uniform(raw)):
        return Sector(number, _uniform(raw))
    if found is not None and (found.version != sector.VERSION or found.slot_bytes != slot.SLOT_BYTES):
        return Sector(number, "other_layout", generation=None, erases=found.version)
    known = _other_area(raw)
    if use is None and found is None and known:
        return Sector(number, known)
    read_here = Sector(number, "", erases=None if found is None else found.erases)
    if use is not None:
        read_here.epoch, read_here.generation, read_here.first_seq = use.epoch, use.generation, use.first_seq
        read_here.state = "drained" if cells.is_marked(raw, sector.DRAINED_AT) else "in_use"
    elif cells.is_marked(raw, sector.RETIRED_AT):
        read_here.state = "retired"
    elif sum(byte in (0x00, 0xFF) for byte in raw[: sector.VOID_BYTES]) >= _VOID_AT_LEAST and found is None:
        read_here.state = "erasing"
    elif found is not None and _is_uniform(raw[sector.CHECKPOINT_AT :]) and raw[-1] == 0xFF:
        read_here.state = "ready"
        return read_here
    else:
        read_here.state = "spoilt"
    _read_slots(raw, read_here)
    return read_here


def _is_uniform(raw: bytearray) -> bool:
    return len(set(raw)) <= 1


def _uniform(raw: bytearray) -> str:
    if len(raw) < sector.HEADER_BYTES and not _is_uniform(raw):
        return "spoilt"
    return {0xFF: "blank", 0: "zeros"}.get(raw[0], "foreign") if raw else "blank"


def _other_area(raw: bytearray) -> str:
    """What else of ours lives in flash: parameter banks and their pointer."""
    if raw[:4] == bank.MAGIC and _whole(bank.HEADER, raw, 0) is not None:
        return "params_bank"
    for at in range(0, len(raw) - pointer.POINTER.size + 1, pointer.SLOT_BYTES):
        found = _whole(pointer.POINTER, raw, at) if raw[at : at + 2] == pointer.MAGIC else None
        if found is not None:
            return "params_pointer"
    return ""


def _read_slots(raw: bytearray, into: Sector) -> None:
    for number in range(1, len(raw) // slot.SLOT_BYTES):
        blob = raw[number * slot.SLOT_BYTES : (number + 1) * slot.SLOT_BYTES]
        if cells.is_blank(blob):
            continue
        if cells.is_marked(blob, slot.RETIRED_AT):
            into.retired.append(number)
            continue
        body = _body(blob)
        if body is not None:
            into.entries.append(_entry(blob, body, into, number))
        elif cells.is_blank(blob[slot.OUTCOME_AT :]):
            into.torn.append(number)
        else:
            into.rotted.append(number)


def _body(blob: bytearray) -> Any:
    """The entry's body, None where its CRC does not prove it or its kind is none of ours."""
    if blob[0] not in _RECORDS or crc32(blob[: slot.BODY_CRC_AT]) != _int(blob, slot.BODY_CRC_AT):
        return None
    return _RECORDS[blob[0]].unpack(blob)


def _entry(blob: bytearray, body: Any, where: Sector, number: int) -> Entry:
    set_marks = [name for at, name in _MARKS if cells.is_marked(blob, at)]
    half = tuple(name for at, name in _MARKS if blob[at : at + cells.MARK_BYTES] not in (b"\xff" * 4, cells.SET))
    state = set_marks[0] if set_marks else "drained" if where.state == "drained" else "waiting"
    return Entry(where.number, number, body, state, _outcome(blob, body), False, half)


def _outcome(blob: bytearray, body: Any) -> Any:
    if body.kind == wire.AMEND:
        return wire.OUTCOME_V1.unpack(body.outcome)
    stored = blob[slot.OUTCOME_AT : slot.OUTCOME_CRC_AT]
    if body.kind != wire.TAP or crc32(stored) != _int(blob, slot.OUTCOME_CRC_AT):
        return None
    return wire.OUTCOME_V1.unpack(stored)


def _int(blob: bytearray, at: int) -> int:
    return int.from_bytes(blob[at : at + 4], "big")


# -- all of them together ---------------------------------------------------------------------------------------


def _main_epoch(sectors: list[Sector]) -> int | None:
    """The journal that most sectors belong to."""
    epochs = Counter(each.epoch for each in sectors if each.epoch is not None)
    return epochs.most_common(1)[0][0] if epochs else None


def _judge(sectors: list[Sector], geometry: Geometry, epoch: int | None) -> Iterator[Finding]:
    """Give each sector its place, and say what does not fit."""
    ours = [each for each in sectors if each.epoch is not None and each.epoch == epoch]
    newest = max((each.generation or 0 for each in ours), default=None)
    for each in sectors:
        if each.epoch is not None and each.epoch != epoch:
            each.state = "other_journal"
            yield Finding("two_journals", each.number, {"epoch": f"{each.epoch:08X}"})
        elif each.generation is not None and each.generation % geometry.sectors != each.number:
            yield Finding("out_of_order", each.number, {"generation": each.generation})
        elif each.generation is not None and each.generation == newest:
            each.state = "newest"
        elif each.state == "other_layout":
            yield Finding("other_layout", each.number, {"found": each.erases, "known": sector.VERSION})
            each.erases = None
        elif each.state == "retired" and epoch is not None:
            yield Finding("worn", each.number)
        elif each.state == "zeros":
            yield Finding("zeros", each.number)
        elif each.state in ("spoilt", "retired"):
            yield from _spoilt(each, epoch)
        elif each.state == "foreign":
            yield Finding("foreign", each.number)
        elif each.state in ("params_bank", "params_pointer"):
            yield Finding(each.state, each.number)
        if each.rotted and each.state in ("in_use", "newest"):
            yield Finding("rotted", each.number, {"slots": len(each.rotted)})
    if epoch is None and all(each.state == "blank" for each in sectors):
        yield Finding("blank")
    elif epoch is None:
        yield Finding("no_journal")


def _spoilt(each: Sector, epoch: int | None) -> Iterator[Finding]:
    """No header, and it was not given up for an erase."""
    unsent = [entry for entry in each.entries if entry.state == "waiting"]
    if unsent:
        yield Finding("header_lost", each.number, {"unsent": len(unsent)})
    elif epoch is None and not each.entries:
        each.state = "foreign"
        yield Finding("foreign", each.number)


def _resolve(sectors: list[Sector]) -> None:
    """Outcomes that stand in amends, and taps that are still open."""
    amends: dict[tuple[int | None, int], Any] = {}
    for each in sorted(sectors, key=lambda each: each.generation or 0):
        for entry in each.entries:
            if entry.body.kind == wire.AMEND:
                amends.setdefault((each.epoch, entry.body.of_seq), entry.outcome)
    for each in sectors:
        for entry in each.entries:
            if entry.body.kind != wire.TAP:
                continue
            amend = amends.get((each.epoch, entry.body.seq))
            entry.amended = amend is not None
            if entry.outcome is None:
                entry.outcome = amend
            if entry.outcome is None and entry.state == "waiting":
                entry.state = "open"


def _sequence(sectors: list[Sector]) -> Iterator[Finding]:
    """Sequence numbers that should be there and are not, or are there twice; in sectors not yet let go."""
    in_use = sorted(
        (each for each in sectors if each.state in ("in_use", "newest")), key=lambda each: each.generation or 0
    )
    for i, each in enumerate(in_use):
        wanted = each.first_seq or 0
        for entry in each.entries:
            if entry.body.seq < wanted:
                yield Finding("twice", each.number, {"seq": entry.body.seq})
                continue
            if entry.body.seq > wanted:
                yield Finding("missing", each.number, {"first": wanted, "last": entry.body.seq - 1})
            wanted = entry.body.seq + 1
        follows = in_use[i + 1].first_seq if i + 1 < len(in_use) else None
        if follows is not None and follows > wanted:
            yield Finding("missing", each.number, {"first": wanted, "last": follows - 1})


def is_sound(body: Any, outcome: Any) -> bool:
    """The back office would take this entry: sums, digits and codes are those of a validator."""
    try:
        record = _RECORDS[body.kind]
        packed = record.pack(**body._asdict())
        own = wire.OUTCOME_V1.pack(**outcome._asdict()) if body.kind == wire.TAP and outcome is not None else b""
        if body.kind != wire.TAP or own:
            wire.from_wire(wire.to_wire(packed, own))
        return True
    except BadInput:
        return False
