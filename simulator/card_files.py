"""Reading and changing a card's files in its image. No state: what is selected and buffered is the card's."""

from typing import NamedTuple

from simulator import sw
from simulator.apdu import Apdu, Refused, need
from simulator.image import COMPOUND, CYCLIC, HISTORY, LOCAL, LOG, RECORD_BYTES_MAX, VARIABLE, CardImage
from tunion.card.files import PPSE_NAME, PUBLIC_SFI

BY_IDENTIFIER = 0       # low three bits of P2: P1 is the tt of a record's identifier 27tt
BY_NUMBER = 4           # P1 is the record number
_IDENTIFIER = 0x27
FCI_COPY = b"\x9f\x0c"      # tag of file 15h's copy in the FCI

AID_PREFIX_BYTES_MIN = 5    # ISO 7816-4: a partial name holds at least the registered provider


class Update(NamedTuple):
    """One buffered UPDATE CAPP DATA CACHE, resolved. `number` counts from 1; 0 appends to a cyclic file."""

    sfi: int
    number: int
    data: bytes


def named(name: bytes, wanted: bytes) -> bool:
    """A SELECT for `wanted` finds the application `name`: all of it, or a partial name."""
    return len(wanted) >= AID_PREFIX_BYTES_MIN and name.startswith(wanted)


def ppse_answer(*aids: bytes) -> bytes:
    """The directory of contactless applications, in the order of their priority; the first is the e-purse."""
    listed = b""
    for priority, aid in enumerate(aids, 1):
        label = _tlv(b"\x50", b"MOT_T_EP") if priority == 1 else b""
        listed += _tlv(b"\x61", _tlv(b"\x4f", aid) + label + _tlv(b"\x87", bytes((priority,))))
    return _tlv(b"\x6f", _tlv(b"\x84", PPSE_NAME) + _tlv(b"\xa5", _tlv(b"\xbf\x0c", listed)))


def exists(image: CardImage, sfi: int) -> bool:
    return sfi in image.layout or sfi in CYCLIC or sfi in VARIABLE


def read_binary(image: CardImage, sfi: int, offset: int, le: int | None) -> bytes:
    need(exists(image, sfi), sw.NO_FILE)
    need(sfi in image.layout, sw.WRONG_FILE_KIND)
    content = image.files[sfi]
    need(offset < len(content), sw.OUTSIDE_FILE)
    return limited(image, content[offset:], le)


def read_record(image: CardImage, sfi: int, p1: int, mode: int, le: int | None) -> bytes:
    need(exists(image, sfi), sw.NO_FILE)
    need(sfi not in image.layout, sw.WRONG_FILE_KIND)
    if mode == BY_IDENTIFIER and sfi == COMPOUND:
        number = _number_of(image, p1)
    else:
        need(mode == BY_NUMBER, sw.WRONG_P1P2)
        number = p1
    capacity, size = CYCLIC.get(sfi, (len(image.records[sfi]), RECORD_BYTES_MAX))
    need(1 <= number <= capacity, sw.NO_RECORD)
    written = image.records[sfi]
    record = written[number - 1] if number <= len(written) else b""
    return limited(image, record or _never_written(image, size), le)


def updated(image: CardImage, sfi: int, offset: int, data: bytes) -> CardImage:
    """A copy with other bytes in a transparent file, and in the FCI's copy of it."""
    need(exists(image, sfi), sw.NO_FILE)
    need(sfi in image.layout, sw.WRONG_FILE_KIND)
    old = image.files[sfi]
    after = image.copy()
    after.files[sfi] = new = overwritten(old, offset, data)
    if sfi == PUBLIC_SFI:
        after.fci = image.fci.replace(_tlv(FCI_COPY, old), _tlv(FCI_COPY, new))
    return after


def overwritten(content: bytes, offset: int, data: bytes) -> bytes:
    """`content` with `data` at `offset`; a file never grows."""
    need(offset < len(content), sw.OUTSIDE_FILE)
    need(offset + len(data) <= len(content), sw.NO_SPACE)
    return content[:offset] + data + content[offset + len(data) :]


def fci(aid: bytes, version: bytes, public: bytes | None = None) -> bytes:
    """Answer to SELECT of an e-purse. `public`: file 15h, for its copy; None: without one."""
    copied = _tlv(FCI_COPY, public) if public else b""
    return _tlv(b"\x6f", _tlv(b"\x84", aid) + _tlv(b"\xa5", _tlv(b"\x9f\x08", version) + copied))


def limited(image: CardImage, content: bytes, le: int | None) -> bytes:
    """As much as Le asks for; absent and 00 ask for everything. Past the end: what there is, or 6Cxx."""
    if not le:
        return content
    if le > len(content) and image.settings.wrong_le == "6Cxx":
        raise Refused(sw.WRONG_LE | len(content))
    return content[:le]


def resolve_update(image: CardImage, apdu: Apdu) -> Update:
    """Where an UPDATE CAPP DATA CACHE will go; raises Refused where it can go nowhere."""
    sfi, mode = apdu.p2 >> 3, apdu.p2 & 7
    need(exists(image, sfi), sw.NO_FILE)
    need(sfi not in image.layout, sw.WRONG_FILE_KIND)
    need(sfi != LOG, sw.NOT_ALLOWED)       # the card alone writes its log
    need(bool(apdu.data), sw.WRONG_LENGTH)
    if sfi == HISTORY:
        need(mode == BY_IDENTIFIER and apdu.p1 == 0, sw.WRONG_P1P2)
        number = 0
    elif sfi == COMPOUND and mode == BY_IDENTIFIER:
        number = _number_of(image, apdu.p1)
        # Else the record could not be found again under this identifier.
        need(apdu.data[:2] == bytes((_IDENTIFIER, apdu.p1)), sw.WRONG_DATA)
    else:
        need(mode == BY_NUMBER or (sfi == LOCAL and mode == BY_IDENTIFIER), sw.WRONG_P1P2)
        number = apdu.p1
        need(1 <= number <= len(image.records[sfi]), sw.NO_RECORD)
    need(len(apdu.data) <= CYCLIC.get(sfi, (0, RECORD_BYTES_MAX))[1], sw.NO_SPACE)
    return Update(sfi, number, apdu.data)


def apply_update(image: CardImage, update: Update) -> None:
    """Write into `image`. A short update leaves the rest of its record as it was; in a cyclic file it is 00."""
    if update.number == 0:
        append(image, update.sfi, update.data)
        return
    records = image.records[update.sfi]
    old = records[update.number - 1]
    records[update.number - 1] = update.data + old[len(update.data) :]


def append(image: CardImage, sfi: int, record: bytes) -> None:
    """A new newest record of a cyclic file; the oldest one falls out when it is full."""
    capacity, size = CYCLIC[sfi]
    image.records[sfi].insert(0, record.ljust(size, b"\x00"))
    del image.records[sfi][capacity:]


def _number_of(image: CardImage, tt: int) -> int:
    """Record number of identifier 27tt: where it stands, else record number tt if that is blank."""
    records = image.records[COMPOUND]
    for at, record in enumerate(records):
        if record[:2] == bytes((_IDENTIFIER, tt)):
            return at + 1
    if not 1 <= tt <= len(records) or records[tt - 1][:1] == bytes((_IDENTIFIER,)):
        raise Refused(sw.NO_RECORD)
    return tt


def _never_written(image: CardImage, size: int) -> bytes:
    if image.settings.empty_record == "6A83":
        raise Refused(sw.NO_RECORD)
    return bytes.fromhex(image.settings.empty_record) * size


def _tlv(tag: bytes, value: bytes) -> bytes:
    return tag + bytes((len(value),)) + value
