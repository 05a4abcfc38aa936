"""What a card, a PSAM or a blank on a line says of itself, as plain values. Nothing is changed on it.

Counters stand in no file: the two INITIALIZE commands tell them, and what these begin is given up at once.
"""

from typing import Any, NamedTuple

from backoffice.cards.line import Line
from tunion import bcd
from tunion.card import files, psam, purse, trips
from tunion.card import product as products
from tunion.card.sample_products import LEGACY
from tunion.crypto.keys import COMPOUND, LOAD, PURCHASE
from tunion.record import BadInput, Record
from validator.applications import product_of

PRODUCTS = (products.NATIONAL, product_of(LEGACY))
CHIP = Record("Chip", 14, (("serial", "8s"), ("maker", "2s"), ("mask", "2s"), ("stage", "B"), ("tries_left", "B")))
STAGE_PERSONALISED = 2

OK = 0x9000
STATES = {OK: "ok", 0x6283: "blocked", 0x6284: "blocked", 0x6A81: "blocked_card", 0x9303: "blocked_for_good"}
LOCKED = 0x6A81
LOG_RECORDS, TRIP_RECORDS, OPEN_RECORDS = 10, 30, 2
COUNTER_SFI = 0x19          # of a PSAM
KEY_INDICES = (1, 2)        # tried for INITIALIZE: the standard's and the one of the sample legacy application
RAIL_OPEN, BUS_OPEN = (1, 3), (1,)      # states of records 2701 and 2702 that wait for the way out
PPSE_ENTRY, PPSE_AID = 0x61, 0x4F


class Answer(NamedTuple):
    body: bytes
    word: int

    @property
    def ok(self) -> bool:
        return self.word == OK


def read(line: Line) -> dict[str, Any]:
    """`kind` card, psam, blank or unknown, and what that kind has. Raises CardGone."""
    found: dict[str, Any] = {"kind": "unknown", "atr": line.power_on().hex().upper()}
    chip = _chip(line)
    if chip:
        found["chip"] = chip
        if chip["stage"] < STAGE_PERSONALISED:
            return {**found, "kind": "blank"}
    applications = [each for each in (_application(line, product) for product in _listed(line)) if each]
    if applications:
        return {**found, "kind": "card", "applications": applications}
    sam = _psam(line)
    return {**found, "kind": "psam", "psam": sam} if sam else found


def say(line: Line, command: bytes) -> Answer:
    answer = line.transceive(command)
    return Answer(answer[:-2], int.from_bytes(answer[-2:], "big"))


def _chip(line: Line) -> dict[str, Any] | None:
    answer = say(line, bytes.fromhex("80CA9F7F0E"))
    if not answer.ok or len(answer.body) != CHIP.size:
        return None
    row = CHIP.unpack(answer.body)
    names = {name: getattr(row, name).hex().upper() for name in ("serial", "maker", "mask")}
    return {**names, "stage": row.stage, "tries_left": row.tries_left}


def _listed(line: Line) -> list[products.Product]:
    """The applications to look for: those that the directory names first, in its order, then the others we know."""
    answer = say(line, files.SELECT.head + bytes((len(files.PPSE_NAME),)) + files.PPSE_NAME + b"\x00")
    names = _directory(answer.body) if answer.ok else []
    return sorted(PRODUCTS, key=lambda product: names.index(product.aid) if product.aid in names else len(names))


def _directory(body: bytes) -> list[bytes]:
    try:
        entries = files.tlv_find(body, (0x6F, 0xA5, 0xBF0C)) or b""
        found, at = [], 0
        while at + 1 < len(entries) and entries[at] == PPSE_ENTRY:
            size = entries[at + 1]
            found.append(files.tlv_find(entries[at + 2 : at + 2 + size], (PPSE_AID,)) or b"")
            at += 2 + size
    except BadInput:
        return []
    return found


# --- one application of a card


def _application(line: Line, product: products.Product) -> dict[str, Any] | None:
    """None where the card has no such application."""
    answer = say(line, files.SELECT.head + bytes((len(product.aid),)) + product.aid + b"\x00")
    if answer.word not in STATES:
        return None
    found: dict[str, Any] = {
        "product": product.name, "aid": product.aid.hex().upper(), "state": STATES[answer.word], "unreadable": []
    }
    content = {}
    for sfi, size in product.files:
        raw = say(line, bytes((0x00, 0xB0, 0x80 | sfi, 0x00, size)))
        if raw.ok and len(raw.body) >= size:
            content[sfi] = raw.body[:size]
        else:
            found["unreadable"].append(f"{sfi:02X}")
    if product.fci_tag and answer.body:
        first, size = product.files[0]
        try:
            copied = files.tlv_find(answer.body, (0x6F, 0xA5, product.fci_tag))
        except BadInput:
            copied = None
        if copied and len(copied) >= size:
            content.setdefault(first, copied[:size])
    if len(content) == len(product.files):
        found |= _facts(product, content)
    elif product.files[0][0] in content:
        found |= _facts(product, {sfi: content.get(sfi, bytes(size)) for sfi, size in product.files}, first_only=True)
    if found["state"] == "ok":
        if product.files[0][0] not in content:
            return None     # it takes any name
        found |= _purse(line)
        found |= _counters(line, product)
        found["log"] = _records(line, product.log_sfi, LOG_RECORDS, files.LOG_ENTRY.size, _log_entry)
        if COMPOUND in product.types:
            found["trips"] = _records(line, 0x1E, TRIP_RECORDS, trips.HISTORY.size, _trip)
            found["open_trips"] = _records(line, 0x1A, OPEN_RECORDS, trips.RECORD_BYTES, _open_trip, holes=True)
    return found


def _facts(product: products.Product, content: dict[int, bytes], first_only: bool = False) -> dict[str, Any]:
    """What the files say. `first_only`: the others could not be read, so what stands in them is not told."""
    facts = products.facts(product, content)
    told = {
        "number": facts.serial.hex().upper().lstrip("0"),
        "issuer": facts.issuer.hex().upper(),
        "enabled": facts.enabled == product.enabled,
        "start": facts.start.hex(),
        "expiry": facts.expiry.hex(),
    }
    if not first_only:
        told |= {"city": facts.city.hex().upper(), "kind": facts.kind}
        if product is products.NATIONAL:
            management = files.MANAGEMENT.unpack(content[files.MANAGEMENT_SFI][: files.MANAGEMENT.size])
            told |= {"province": management.province.hex().upper()}
            told |= {"interoperable": facts.interoperable == product.interoperable}
    return told


def _purse(line: Line) -> dict[str, Any]:
    """The balance is the passenger's own: the card's figure 00 has the overdraft limit in it."""
    figures = []
    for p1 in (0, 1):
        answer = say(line, bytes((0x80, 0x5C, p1, 0x02, 0x04)))
        known = answer.ok and len(answer.body) == 4
        figures.append(int.from_bytes(answer.body, "big") & 0x7FFFFFFF if known else None)
    total_fen, limit_fen = figures
    if total_fen is None:
        return {}
    limit_fen = limit_fen or 0      # a card that knows no overdraft refuses, or says 0
    return {"balance_fen": total_fen - limit_fen, "limit_fen": limit_fen}


def _counters(line: Line, product: products.Product) -> dict[str, Any]:
    purchase = purse.INITIALIZE_FOR_COMPOUND if COMPOUND in product.types else purse.INITIALIZE_FOR_PURCHASE
    counters: dict[str, int] = {}
    keys: dict[str, dict[str, int]] = {}
    for name, use, command, amount_fen in (
        ("offline", "purchase", purchase, 0 if purchase is purse.INITIALIZE_FOR_COMPOUND else 1),
        ("online", "load", purse.INITIALIZE_FOR_LOAD, 1),
    ):
        assert command.data and command.reply
        for index in (product.key_index,) if product.key_index else KEY_INDICES:
            body = command.data.pack(key_index=index, amount_fen=amount_fen, terminal=bytes(6))
            answer = say(line, command.head + bytes((len(body),)) + body + bytes((command.reply.size,)))
            if answer.ok and len(answer.body) == command.reply.size:
                offer = command.reply.unpack(answer.body)
                counters[name] = offer.counter
                keys[use] = {"index": index, "version": offer.key_version, "algorithm": offer.algorithm}
                break
    # Begun and not meant: selecting anew gives it up.
    say(line, files.SELECT.head + bytes((len(product.aid),)) + product.aid + b"\x00")
    return {"counters": counters, "keys": keys}


def _records(
    line: Line, sfi: int, most: int, size: int, taken: "Any", holes: bool = False
) -> list[dict[str, Any]]:
    """The written records of a file. Ends at the first that is none, unless the file may have `holes`."""
    found = []
    for number in range(1, most + 1):
        answer = say(line, bytes((0x00, 0xB2, number, sfi << 3 | 4, size)))
        raw = answer.body
        if not answer.ok or len(raw) != size or raw in (bytes(size), b"\xff" * size):
            if holes:
                continue
            break
        entry = taken(raw, number)
        if entry:
            found.append(entry)
    return found


def _log_entry(raw: bytes, number: int) -> dict[str, Any]:
    row = files.LOG_ENTRY.unpack(raw)
    types = {LOAD: "load", PURCHASE: "purchase", COMPOUND: "compound"}
    return {
        "type": types.get(row.type, f"{row.type:02X}"), "amount_fen": row.amount_fen, "counter": row.counter,
        "terminal": row.terminal.hex().upper(), "at": _time(row.at),
    }  # fmt: skip


def _trip(raw: bytes, number: int) -> dict[str, Any]:
    row = trips.HISTORY.unpack(raw)
    return {
        "event": row.event, "industry": row.industry, "place": row.place.hex().upper(), "amount_fen": row.amount_fen,
        "balance_fen": row.balance_fen, "at": _time(row.at), "city": row.city.hex().upper(),
        "terminal": row.terminal.hex().upper(), "network": row.network.hex().upper(),
    }  # fmt: skip


def _open_trip(raw: bytes, number: int) -> dict[str, Any] | None:
    if not trips.is_written(raw, number):
        return None
    layout = trips.RAIL_TRIP if number == trips.RAIL else trips.BUS_RIDE
    row = layout.unpack(raw)
    place = row.in_station.hex().upper() if number == trips.RAIL else f"{row.in_line}/{row.in_stop}"
    return {
        "record": f"27{number:02X}", "state": row.state, "locked": bool(row.lock), "city": row.in_city.hex().upper(),
        "open": row.state in (RAIL_OPEN if number == trips.RAIL else BUS_OPEN),
        "place": place, "at": _time(row.in_at), "most_fen": row.most_fen, "terminal": row.in_terminal.hex().upper(),
    }  # fmt: skip


def _time(at: bytes) -> str:
    """ISO, or the hex of what is no time."""
    digits = at.hex()
    if not bcd.is_bcd(at):
        return digits
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}"


# --- a PSAM


def _psam(line: Line) -> dict[str, Any] | None:
    say(line, bytes.fromhex("00A40000023F00"))
    terminal = say(line, bytes((0x00, 0xB0, 0x80 | psam.TERMINAL_SFI, 0x00, psam.TERMINAL.size)))
    identity = say(line, bytes((0x00, 0xB0, 0x80 | psam.IDENTITY_SFI, 0x00, psam.IDENTITY.size)))
    if not terminal.ok or len(terminal.body) != psam.TERMINAL.size:
        return None
    found: dict[str, Any] = {"number": terminal.body.hex().upper()}
    if identity.ok and len(identity.body) == psam.IDENTITY.size:
        row = psam.IDENTITY.unpack(identity.body)
        found |= {"serial": row.serial.hex().upper(), "version": row.version}
    name = psam.APPLICATION_NAME
    if not say(line, files.SELECT.head + bytes((len(name),)) + name).ok:
        if not say(line, bytes.fromhex("00A40000028011")).ok:
            return found
    own = say(line, bytes((0x00, 0xB0, 0x80 | psam.APPLICATION_SFI, 0x00, psam.APPLICATION.size)))
    if own.ok and len(own.body) == psam.APPLICATION.size:
        row = psam.APPLICATION.unpack(own.body)
        found |= {
            "key_index": row.key_index, "issuer": row.issuer.hex().upper(), "receiver": row.receiver.hex().upper(),
            "start": row.start.hex(), "expiry": row.expiry.hex(),
        }  # fmt: skip
    # Without data a PSAM in order says that the length is wrong; a locked one says first that it is locked.
    found["state"] = "blocked" if say(line, psam.INIT_SAM_FOR_PURCHASE.head).word == LOCKED else "ok"
    counter = say(line, bytes((0x00, 0xB0, 0x80 | COUNTER_SFI, 0x00, 0x04)))
    if counter.ok and len(counter.body) == 4:
        found["terminal_counter"] = int.from_bytes(counter.body, "big")
    return found
