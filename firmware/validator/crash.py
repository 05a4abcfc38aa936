"""The black box: where the program broke last, how often it did, how far safe mode has come. Kept beside the journal.

Of an exception its type and places in our own code are kept, never its text: that may hold what a card or a key is.
Bytes and reasons: firmware/docs/supervisor.md.
"""

import io
import sys

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import BadInput, Record
from validator.cells import sealed
from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Keep

PLACES_MAX = const(4)  # the innermost ones: deeper is who called, which the release's source tells
TYPE_BYTES = const(24)
MODULE_BYTES = const(26)
VERSION_BYTES = const(12)
PLACE = Record("Place", 28, (("module", "26s"), ("line", "H")))
MAGIC = b"YB"
LAYOUT = const(1)

BOX = Record(
    "BlackBox",
    180,
    (
        ("magic", "2s"),
        ("layout", "B"),
        ("untold", "B"),  # bits: what the journal does not have yet
        ("stage", "B"),  # of safe mode, tunion.wire.health; 0 normal
        ("held", "B"),  # the stage that ran well, 0: none was needed
        ("bad", "B"),  # crashes and watchdog resets in a row
        ("trials", "B"),  # normal boots tried from safe mode, in a row
        ("boots", "I"),  # ever
        ("crashes", "I"),
        ("resets", "I"),  # by the watchdog
        ("crash_boot", "I"),  # number of the boot that crashed last, 0: none did
        ("crash_up_s", "I"),  # how long it had run
        ("version", "12s"),  # of the firmware that crashed; padded with zeros
        ("type", "24s"),
        ("places", "112s"),  # PLACE, innermost first
        ("crc", "I"),
    ),
)
CRASH_UNTOLD = const(1)
MODE_UNTOLD = const(2)  # safe mode was entered or left
_NAMED = ("untold", "stage", "held", "bad", "trials", "boots", "crashes", "resets", "crash_boot", "crash_up_s")
_ROOTS = ("validator/", "tunion/", "boards/")
_FRAME = '  File "'
_U32 = const(0xFFFFFFFF)


class BlackBox:
    """The fields of BOX as attributes; `save` makes them durable, whole or not at all.

    holds   what was saved last reads back
    """

    def __init__(self, keep: "Keep | None") -> None:
        """keep None: nothing outlives the power. What cannot be read is as nothing: it begins anew."""
        self._keep = keep
        self.holds = True
        found = self._found()
        self.untold: int = found.untold if found else 0
        self.stage: int = found.stage if found else 0
        self.held: int = found.held if found else 0
        self.bad: int = found.bad if found else 0
        self.trials: int = found.trials if found else 0
        self.boots: int = found.boots if found else 0
        self.crashes: int = found.crashes if found else 0
        self.resets: int = found.resets if found else 0
        self.crash_boot: int = found.crash_boot if found else 0
        self.crash_up_s: int = found.crash_up_s if found else 0
        self.version: str = _text(found.version) if found else ""
        self.type: str = _text(found.type) if found else ""
        self.places: list[tuple[str, int]] = _places(found.places) if found else []

    def _found(self) -> "Any":
        if self._keep is None:
            return None
        try:
            return _opened(self._keep.load())
        except FlashFault:
            self.holds = False
            return None

    def save(self) -> bool:
        """Durable when it returns True. A place that cannot be written is told by the self-test, and stops nothing."""
        if self._keep is None:
            return True
        fields: dict[str, Any] = {name: getattr(self, name) for name in _NAMED}
        places = b""
        for module, line in self.places:
            places += PLACE.pack(module=_bytes(module, MODULE_BYTES), line=line)
        blob = sealed(
            BOX,
            magic=MAGIC,
            layout=LAYOUT,
            version=_bytes(self.version, VERSION_BYTES),
            type=_bytes(self.type, TYPE_BYTES),
            places=places + bytes(PLACES_MAX * PLACE.size - len(places)),
            **fields,
        )
        try:
            self._keep.save(blob)
            self.holds = self._keep.load() == blob
        except FlashFault:
            self.holds = False
        return self.holds

    def record(self, error: BaseException, version: str, up_s: int) -> None:
        """Note a crash of this boot; not saved yet. Its type comes first: there may be no memory for the places."""
        self.untold |= CRASH_UNTOLD
        self.crashes = min(self.crashes + 1, _U32)
        self.crash_boot = self.boots
        self.crash_up_s = min(up_s, _U32)
        self.version = version
        self.type = type(error).__name__
        self.places = []
        self.places = places_of(error)

    def words(self) -> "list[str]":
        """The last crash for telemetry: version, type, places; empty where there was none."""
        if not self.crash_boot:
            return []
        return [self.version, self.type] + ["%s:%d" % place for place in self.places]


def places_of(error: BaseException) -> "list[tuple[str, int]]":
    """(module, line) in our own code, innermost first, at most PLACES_MAX."""
    found = []
    for path, line in _frames(error):
        module = module_of(path)
        if module:
            found.append((module[-MODULE_BYTES:], min(line, 0xFFFF)))
    found.reverse()
    return found[:PLACES_MAX]


def module_of(path: str) -> str:
    """A source file's module, short: "app" for validator/app.py, "tunion/cbor"; "" where it is none of ours."""
    for root in _ROOTS:
        at = path.rfind(root)
        if at == 0 or at > 0 and path[at - 1] == "/":
            path = path[at:]
            if path[-3:] == ".py":
                path = path[:-3]
            return path[len(_ROOTS[0]) :] if root == _ROOTS[0] else path
    return ""


def _frames(error: BaseException) -> "list[tuple[str, int]]":
    """(path, line), outermost first."""
    found = []
    trace = getattr(error, "__traceback__", None)  # CPython
    while trace is not None:
        found.append((str(trace.tb_frame.f_code.co_filename), int(trace.tb_lineno)))
        trace = trace.tb_next
    if found or not hasattr(sys, "print_exception"):
        return found
    printed = io.StringIO()
    sys.print_exception(error, printed)
    for line in printed.getvalue().split("\n")[1:]:
        if line[: len(_FRAME)] != _FRAME:
            break  # from here on it is the exception's text, which could look like anything
        parts = line[len(_FRAME) :].split('", line ')
        number = parts[-1].split(",")[0]
        if len(parts) == 2 and number.isdigit():
            found.append((parts[0], int(number)))
    return found


def _opened(blob: bytes) -> "Any":
    """BOX, or None where these bytes are none of it."""
    if len(blob) != BOX.size or crc32(blob[:-4]).to_bytes(4, "big") != blob[-4:]:
        return None
    try:
        found = BOX.unpack(blob)
    except BadInput:
        return None
    return found if found.magic == MAGIC and found.layout == LAYOUT else None


def _places(blob: bytes) -> "list[tuple[str, int]]":
    found = []
    for i in range(PLACES_MAX):
        entry = PLACE.unpack(blob, i * PLACE.size)
        module = _text(entry.module)
        if module:
            found.append((module, int(entry.line)))
    return found


def _text(padded: bytes) -> str:
    return bytes(padded).rstrip(b"\x00").decode()


def _bytes(text: str, count: int) -> bytes:
    """ASCII, cut to `count` bytes, padded with zeros."""
    kept = bytes([ord(letter) if ord(letter) < 128 else 0x3F for letter in text[:count]])
    return kept + bytes(count - len(kept))
