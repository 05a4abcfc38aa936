"""What one STX/ETX reader's frames look like and which commands it knows: a map of texts and numbers, all of it data.

Every key, and two invented samples: firmware/docs/readers.md. Bytes are written in hex. A profile is checked whole
when it is loaded; a key that is missing, misspelt or contradicts another is refused by name.
"""

from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BODY_BYTES_MAX = const(270)  # a short APDU's answer of 258 bytes, and a code and a status before it
_LONG_WAIT_MS = const(5000)
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)  # that every board has

FIELDS = ("start", "address", "length", "sequence", "body", "check", "end")
START, ADDRESS, LENGTH, SEQUENCE, BODY, CHECK, END = range(7)

NO_CHECK, XOR, SUM, CRC16 = range(4)
_CHECKS = ("none", "xor", "sum", "crc16")

OK = "ok"  # what a status says: done,
NO_CARD = "no_card"  # nothing in the field,
LOST = "lost"  # the card stopped answering,
NOT_ISO = "not_iso"  # it has no ISO 14443-4,
TWO_CARDS = "two_cards"  # more than one answered,
NO_SAM = "no_sam"  # the SAM slot is empty or its SAM is mute,
BUSY = "busy"  # ask again
_WORDS = (OK, NO_CARD, LOST, NOT_ISO, TWO_CARDS, NO_SAM, BUSY)

_COMMANDS = ("field_off", "field_on", "halt", "poll", "activate", "present", "apdu", "sam_power", "sam_apdu")
_KEYS = (
    "about", "speed", "layout", "start", "address", "end", "length", "check", "nibbles", "nak", "again", "code_bytes",
    "code_returns", "status", "uid", "sak_at", "commands", "wait_ms", "gap_ms", "late_ms",
    "boot_ms",
)  # fmt: skip


class Field:
    """One field of a frame: which, how many bytes before coding (the body: 0), whether its bytes travel as nibbles."""

    def __init__(self, kind: int, size: int, nibbles: bool) -> None:
        self.kind = kind
        self.size = size
        self.nibbles = nibbles
        self.sent = 2 * size if nibbles else size  # bytes on the line


class Profile:
    """A profile, checked. `fields` are in the order of the line."""

    def __init__(self, values: "dict[str, Any]") -> None:
        """Raises BadInput, naming key and cure."""
        _known("", values, _KEYS)
        self.speed = _number(values, "speed", _SPEEDS[0], _SPEEDS[-1], 115200)
        if self.speed not in _SPEEDS:
            raise BadInput("speed takes one of %s" % ", ".join([str(speed) for speed in _SPEEDS]))
        self.wait_ms = _number(values, "wait_ms", 1, _LONG_WAIT_MS, 500)  # for any answer but a card's or a SAM's
        self.gap_ms = _number(values, "gap_ms", 1, _LONG_WAIT_MS, 50)  # silence that ends half a frame
        self.late_ms = _number(values, "late_ms", 1, _LONG_WAIT_MS, 500)  # silence that means: no late answer comes
        self.boot_ms = _number(values, "boot_ms", 0, _LONG_WAIT_MS, 1000)  # from power to the first command
        self.start = _hex(values, "start", 1, 2)
        self.end = _hex(values, "end", 0, 1, b"")
        self.address = _hex(values, "address", 0, 1, b"")
        self.nak = _hex(values, "nak", 0, 1, b"")
        self.again = _hex(values, "again", 0, 4, b"")
        self._read_nibbles(_map(values, "nibbles", {}))
        self._read_length(_map(values, "length", {}))
        self._read_check(_map(values, "check", {"kind": "none"}))
        self._read_layout(values)
        self._read_answer(values)
        self._read_commands(_map(values, "commands"))

    def word(self, status: int) -> str:
        """What a status means, "" where the profile does not say."""
        return self._status.get(status, "")

    def _read_nibbles(self, values: "dict[str, Any]") -> None:
        _known("nibbles.", values, ("fields", "letters"))
        self._coded = _fields(values, "nibbles.fields") if values else ()
        letters = values.get("letters", "0123456789ABCDEF")
        if not isinstance(letters, str) or len(set(letters)) != 16 or len(letters.encode()) != 16:
            raise BadInput("nibbles.letters takes 16 different ASCII characters, for 0 to F")
        if START in self._coded or END in self._coded:
            raise BadInput("nibbles.fields: start and end travel as they are; leave them out")
        self.letters = letters.encode()
        self.values = bytearray(b"\xff" * 256)  # of a letter; FF: none
        for nibble in range(16):
            self.values[self.letters[nibble]] = nibble

    def _read_length(self, values: "dict[str, Any]") -> None:
        _known("length.", values, ("bytes", "order", "counts", "of", "adds"))
        self.length_bytes = _number(values, "bytes", 1, 2, 1) if values else 0
        self.length_little = _order(values, "length.order")
        self.length_counts = _fields(values, "length.counts") if values else ()
        self.length_sent = _one_of(values, "length.of", ("plain", "sent"), "plain") == "sent"
        self.length_adds = _number(values, "adds", -16, 16, 0)
        if values and BODY not in self.length_counts:
            raise BadInput("length.counts must name the body")

    def _read_check(self, values: "dict[str, Any]") -> None:
        _known("check.", values, ("kind", "covers", "of", "first", "negated", "poly", "reflected", "final", "order"))
        self.check = _CHECKS.index(_one_of(values, "check.kind", _CHECKS, None))
        self.check_bytes = (0, 1, 1, 2)[self.check]
        self.check_covers = _fields(values, "check.covers") if self.check else ()
        self.check_sent = _one_of(values, "check.of", ("plain", "sent"), "plain") == "sent"
        self.check_little = _order(values, "check.order")
        self.check_negated = _flag(values, "negated", False)
        self.reflected = _flag(values, "reflected", False)
        count = max(self.check_bytes, 1)
        self.first = _integer(values, "first", count)
        self.final = _integer(values, "final", count)
        self.poly = _integer(values, "poly", 2)
        if self.check == CRC16 and not self.poly:
            raise BadInput("check.poly is missing: it takes the CRC's polynomial, 2 bytes in hex")
        if self.reflected:
            self.poly = _mirrored(self.poly)

    def _read_layout(self, values: "dict[str, Any]") -> None:
        order = _fields(values, "layout")
        sizes = (len(self.start), len(self.address), self.length_bytes, 1, 0, self.check_bytes, len(self.end))
        if len(set(order)) != len(order) or not order or order[0] != START or BODY not in order:
            raise BadInput("layout takes each field once, start first, and the body")
        for kind in range(7):
            if kind not in (BODY, SEQUENCE) and (kind in order) != (sizes[kind] > 0):
                raise BadInput("layout and %s contradict each other: give both or none" % FIELDS[kind])
        if LENGTH in order and order.index(LENGTH) > order.index(BODY):
            raise BadInput("layout: the length stands before the body")
        for what, named in (("check.covers", self.check_covers), ("length.counts", self.length_counts),
                            ("nibbles.fields", self._coded)):  # fmt: skip
            for kind in named:
                if kind not in order:
                    raise BadInput("%s names %s, which the layout has not" % (what, FIELDS[kind]))
        for kind in self.check_covers:
            if order.index(kind) >= order.index(CHECK):
                raise BadInput("check.covers: %s does not stand before the check" % FIELDS[kind])
        if LENGTH not in order and (END not in order or BODY not in self._coded):
            raise BadInput("length is missing: only a body of nibbles with an end behind it goes without")
        if END in order and self.end[0] in self.letters and self._coded:
            raise BadInput("end is one of nibbles.letters: no frame would end where it ends")
        self.has_sequence = SEQUENCE in order
        self.fields = tuple([Field(kind, sizes[kind], kind in self._coded) for kind in order])
        self.length_fixed = 0  # what the length counts besides the body
        self.tail_sent = 0  # bytes between body and end
        for field in self.fields:
            if field.kind in self.length_counts:
                self.length_fixed += field.sent if self.length_sent else field.size
            if order.index(BODY) < order.index(field.kind) and field.kind != END:
                self.tail_sent += field.sent
        if END in order and order.index(CHECK if CHECK in order else END) > order.index(END):
            self.tail_sent = 0
        self.length_twice = self.length_sent and BODY in self._coded
        self.body_bytes_max = BODY_BYTES_MAX
        if self.length_bytes == 1:
            most = 255 - self.length_adds - self.length_fixed
            self.body_bytes_max = min(BODY_BYTES_MAX, most // 2 if self.length_twice else most)

    def _read_answer(self, values: "dict[str, Any]") -> None:
        self.code_bytes = _number(values, "code_bytes", 1, 2, 1)
        self.code_returns = _flag(values, "code_returns", False)
        self._status: dict[int, str] = {}
        self.status_bytes = 0
        for text, word in _map(values, "status").items():
            raw = _hex({"status": text}, "status", 1, 2)
            if word not in _WORDS:
                raise BadInput("status.%s takes one of %s" % (text, ", ".join(_WORDS)))
            if self.status_bytes not in (0, len(raw)):
                raise BadInput("status: all are of one size")
            self.status_bytes = len(raw)
            self._status[int.from_bytes(raw, "big")] = word
        if OK not in self._status.values():
            raise BadInput("status: none says ok")
        uid = _map(values, "uid")
        _known("uid.", uid, ("from", "length_at", "at"))
        self.uid_from_activate = _one_of(uid, "uid.from", ("poll", "activate"), "poll") == "activate"
        self.uid_length_at = _number(uid, "length_at", -1, 63, -1)  # -1: it goes on to the end
        self.uid_at = _number(uid, "at", 0, 63, 0)
        self.sak_at = _number(values, "sak_at", -1, 63, -1)  # SEL_RES in the answer to poll; -1: it is not told

    def _read_commands(self, values: "dict[str, Any]") -> None:
        _known("commands.", values, ("open",) + _COMMANDS)
        opening = values.get("open")
        if not isinstance(opening, list) or not opening:
            raise BadInput("commands.open takes a list of commands, at least one")
        self.open = tuple([_hex({"open": text}, "open", self.code_bytes, 32) for text in opening])
        found = {}
        for name in _COMMANDS:
            found[name] = _hex(values, name, self.code_bytes, 32, b"")
        for name in ("poll", "apdu"):
            if not found[name]:
                raise BadInput("commands.%s is missing: it takes the command's bytes" % name)
        if bool(found["field_off"]) != bool(found["field_on"]):
            raise BadInput("commands.field_off and field_on: give both or none")
        if not found["field_off"] and not found["halt"]:
            raise BadInput("commands: field_off and field_on, or halt, so that a card can start afresh")
        if bool(found["sam_power"]) != bool(found["sam_apdu"]):
            raise BadInput("commands.sam_power and sam_apdu: give both or none")
        if self.uid_from_activate and not found["activate"]:
            raise BadInput("uid.from names activate, and commands.activate is missing")
        self.field_off, self.field_on, self.halt = found["field_off"], found["field_on"], found["halt"]
        self.poll, self.activate, self.present = found["poll"], found["activate"], found["present"]
        self.apdu, self.sam_power, self.sam_apdu = found["apdu"], found["sam_power"], found["sam_apdu"]


def _known(where: str, values: "dict[str, Any]", keys: "tuple[str, ...]") -> None:
    for key in values:
        if key not in keys:
            raise BadInput("%s%s is no key of a profile; known are %s" % (where, key, ", ".join(keys)))


def _map(values: "dict[str, Any]", key: str, default: "dict[str, Any] | None" = None) -> "dict[str, Any]":
    found = values.get(key, default)
    if not isinstance(found, dict):
        raise BadInput("%s takes a map" % key)
    return found


def _number(values: "dict[str, Any]", key: str, low: int, high: int, default: int) -> int:
    found = values.get(key, default)
    if not is_int(found) or not low <= found <= high:
        raise BadInput("%s takes a number from %d to %d" % (key, low, high))
    return int(found)


def _flag(values: "dict[str, Any]", key: str, default: bool) -> bool:
    found = values.get(key, default)
    if found is not True and found is not False:
        raise BadInput("%s takes true or false" % key)
    return found is True


def _one_of(values: "dict[str, Any]", name: str, words: "tuple[str, ...]", default: "str | None") -> str:
    found = values.get(name.split(".")[-1], default)
    if found not in words:
        raise BadInput("%s takes one of %s" % (name, ", ".join(words)))
    return str(found)


def _order(values: "dict[str, Any]", name: str) -> bool:
    return _one_of(values, name, ("big", "little"), "big") == "little"


def _hex(values: "dict[str, Any]", key: str, low: int, high: int, default: "bytes | None" = None) -> bytes:
    found = values.get(key)
    if found is None and default is not None:
        return default
    try:
        raw = bytes.fromhex(found) if isinstance(found, str) else None
    except ValueError:
        raw = None
    if raw is None or not low <= len(raw) <= high:
        raise BadInput("%s takes %d to %d bytes in hex" % (key, low, high))
    return raw


def _integer(values: "dict[str, Any]", key: str, count: int) -> int:
    return int.from_bytes(_hex(values, key, count, count, bytes(count)), "big")


def _fields(values: "dict[str, Any]", name: str) -> "tuple[int, ...]":
    named = values.get(name.split(".")[-1])
    if not isinstance(named, list) or any(item not in FIELDS for item in named):
        raise BadInput("%s takes a list of %s" % (name, ", ".join(FIELDS)))
    return tuple([FIELDS.index(item) for item in named])


def _mirrored(poly: int) -> int:
    """The polynomial of 16 bits, lowest bit first."""
    out = 0
    for _ in range(16):
        out = out << 1 | poly & 1
        poly >>= 1
    return out
