"""The Reader port, and slots for SAMs, over a reader that speaks CCID on a serial line. Sources: see ccid_frame.

Slot by slot one power and one active card. A contactless slot takes whole APDUs; in a slot for a SAM the reader runs
T=0 with its procedure bytes, and 61xx and 6Cxx come up. A SAM that speaks T=1 first is refused: it needs blocks, which
nothing here makes.
"""

from tunion.card.refusals import LinkLost
from tunion.compat import const
from validator.drivers import atr
from validator.drivers.ccid_frame import Frames, NoAnswer
from validator.drivers.serial_reader import SerialReader
from validator.ports import ReaderLost, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.drivers.pn532_frame import Line
    from validator.ports import Clock

_SET_PARAMETERS = const(0x61)
_POWER_ON = const(0x62)
_POWER_OFF = const(0x63)
_GET_SLOT_STATUS = const(0x65)
_XFR_BLOCK = const(0x6F)
_DATA_BLOCK = const(0x80)
_SLOT_STATUS = const(0x81)
_PARAMETERS = const(0x82)

_ACTIVE = const(0)  # bmICCStatus
_NONE = const(2)
_UNSUPPORTED = const(0)  # bError of a message that this reader does not know

_POWER_ON_MS = const(3000)  # an answer to reset takes up to a second, at several voltages
_GET_UID = b"\xff\xca\x00\x00\x00"  # answered by the reader, PC/SC part 3
_UID_BYTES_MAX = const(10)


class CcidSlot:
    """One slot of such a reader, by its number."""

    def __init__(self, frames: Frames, owner: "CcidReader | None", number: int) -> None:
        self._frames = frames
        self._owner = owner
        self._number = number
        self._active = False  # the card answered its reset, and every exchange since came back whole
        self._powered = False
        self._is_t0 = False

    def open(self) -> None:
        """Open the reader where it is not. Raises ReaderLost."""
        self._active = False
        if self._owner is not None:
            self._owner.ready()

    def activate(self, wait_ms: int) -> bool:
        """Power the SAM and agree on T=0; False: no SAM, or it is mute. Raises ReaderLost, LinkLost for no T=0."""
        raw = self._power_on()
        if raw is None:
            return False
        try:
            found = atr.parse(raw)
        except atr.BadAtr as bad:
            raise LinkLost("the answer to reset in slot %d is broken (%s)" % (self._number, bad))
        if found.protocols[0] != 0:
            raise LinkLost("the SAM in slot %d speaks T=%d first" % (self._number, found.protocols[0]))
        self._is_t0 = True
        data = bytes((found.ta1, 0, found.guard, found.wi, 0))
        self._call(_SET_PARAMETERS, _PARAMETERS, data)
        if self._frames.failed and self._frames.error != _UNSUPPORTED:  # unsupported: it sets them by itself
            self._active = False
            raise LinkLost("the reader refuses T=0 in slot %d (%02X)" % (self._number, self._frames.error))
        return True

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its answer. It is said again only where the reader refused it. Raises LinkLost, ReaderLost."""
        if not self._active:
            raise LinkLost("no card is active in slot %d" % self._number)
        command: bytes | memoryview = apdu
        if self._is_t0 and len(apdu) > 5 and len(apdu) == apdu[4] + 6:
            command = memoryview(apdu)[:-1]  # T=0 has no Le behind data; the card answers 61xx
        self._active = False
        try:
            answer = self._call(_XFR_BLOCK, _DATA_BLOCK, command, wait_ms, False)
        except NoAnswer as error:
            raise LinkLost(str(error))
        if self._frames.failed or self._frames.icc != _ACTIVE:
            raise LinkLost("the card in slot %d is lost (%02X)" % (self._number, self._frames.error))
        if len(answer) < 2 or self._frames.chained:
            raise LinkLost("the answer in slot %d is no short APDU's" % self._number)
        self._active = True
        return bytes(answer)

    def _power_on(self) -> "bytes | None":
        """The answer to reset; None where there is no card or it is mute."""
        self._power_off()
        answer = self._call(_POWER_ON, _DATA_BLOCK, b"", _POWER_ON_MS)
        self._powered = True
        if self._frames.failed or self._frames.icc != _ACTIVE:
            return None
        self._is_t0 = False
        self._active = True
        return bytes(answer)

    def _power_off(self) -> None:
        if self._powered:
            self._active = self._powered = False
            self._call(_POWER_OFF, _SLOT_STATUS)

    def _call(
        self, code: int, reply: int, data: "bytes | memoryview" = b"", wait_ms: int = 1000, repeatable: bool = True
    ) -> memoryview:
        """As Frames.call. A reader that is lost is opened before any of its slots is used again."""
        try:
            return self._frames.call(code, reply, self._number, data, 0, wait_ms, repeatable)
        except NoAnswer:
            raise
        except ReaderLost:
            if self._owner is not None:
                self._owner.lost()
            raise


class CcidReader(CcidSlot, SerialReader):
    """A reader on a line of bytes, 8N2; its contactless slot is `number`."""

    _frames: Frames

    def __init__(self, line: "Line", clock: "Clock", number: int = 0) -> None:
        CcidSlot.__init__(self, Frames(line, clock), None, number)
        self._owner = self
        self._clock = clock
        self._ready = False

    def open(self) -> None:
        """Open the line and let go of a card that the reader may hold. Raises ReaderLost."""
        self._ready = False
        self._frames.open()
        self._powered = True  # for all we know
        self._power_off()
        self._ready = True

    def slot(self, number: int) -> CcidSlot:
        """Another slot of this reader, for a SAM."""
        return CcidSlot(self._frames, self, number)

    def ready(self) -> None:
        """Open where that has not happened, or where the reader was lost since. Raises ReaderLost."""
        if not self._ready:
            self.open()

    def lost(self) -> None:
        """The line failed."""
        self._ready = False

    def _look(self) -> "Target | None":
        self._call(_GET_SLOT_STATUS, _SLOT_STATUS)
        if self._frames.icc == _NONE or self._power_on() is None:
            return None
        try:
            answer = self.transceive(_GET_UID, 1000)
        except LinkLost:  # in and out again
            return None
        known = answer[-2:] == b"\x90\x00" and len(answer) <= _UID_BYTES_MAX + 2
        return Target(answer[:-2] if known else b"")  # not every reader tells

    def _is_there(self) -> bool:
        if not self._powered:
            return False
        self._call(_GET_SLOT_STATUS, _SLOT_STATUS)
        return self._frames.icc == _ACTIVE

    def _let_go(self) -> None:
        self._power_off()
