"""The Reader port over a PN532: finds a card, carries APDUs, tells when it has left. Source: NXP UM0701-02.

The chip speaks ISO 14443-4 itself (blocks, repeats, waiting time extensions); an error it reports means that its
own repeats did not help. Type A only, as JT/T 978 cards are.
"""

from tunion.card.refusals import LinkLost, NotOurCard
from tunion.compat import const
from validator.drivers.pn532_frame import COMMAND_BYTES_MAX, Frames, NoAnswer
from validator.drivers.serial_reader import FIELD_OFF_MS, SerialReader
from validator.ports import Target, TwoCards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.drivers.pn532_frame import Line
    from validator.ports import Clock

_DIAGNOSE = const(0x00)
_SET_PARAMETERS = const(0x12)
_SAM_CONFIGURATION = const(0x14)
_RF_CONFIGURATION = const(0x32)
_IN_DATA_EXCHANGE = const(0x40)
_IN_LIST_PASSIVE_TARGET = const(0x4A)
_IN_RELEASE = const(0x52)

_CARD_PRESENCE = b"\x06"  # Diagnose: ISO 14443-4 presence check
_NORMAL_MODE = b"\x01"  # SAMConfiguration: no security chip behind the PN532
_AUTOMATIC_RATS = b"\x14"  # SetParameters: the chip goes on to ISO 14443-4 by itself
_FIELD_OFF = b"\x01\x00"  # RFConfiguration item 1
_FIELD_ON = b"\x01\x01"
_RETRIES = b"\x05\xff\x01\x02"  # item 5: ATR, PSL, passive activation: about 15 ms for an empty field
_TWO_TYPE_A = b"\x02\x00"  # as many as the chip can hold: one more than is wanted
_ALL_TARGETS = b"\x00"

_ANSWER_BYTES_MAX = const(258)  # of a short APDU
_PIECE_BYTES = COMMAND_BYTES_MAX - 2  # of an APDU in one command
_TARGET = const(0x01)
_MORE = const(0x40)  # in the target byte and the status: more pieces follow
_ERROR_MASK = const(0x3F)
_ISO_DEP = const(0x20)  # SEL_RES: the card speaks ISO 14443-4


class Pn532(SerialReader):
    """A PN532 on a line of bytes."""

    def __init__(self, line: "Line", clock: "Clock") -> None:
        self._frames: Frames = Frames(line, clock)
        self._clock = clock
        self._answer = bytearray(_ANSWER_BYTES_MAX)
        self._selected = False  # the chip holds a card, which may have left
        self._unbroken = False  # and every exchange with it came back whole
        self._iso_dep = False

    def open(self) -> None:
        """Wake the chip, set it up, let go of a card that it may hold for a host that died. Raises ReaderLost."""
        self._frames.wake()
        self._frames.call(_SAM_CONFIGURATION, _NORMAL_MODE)
        self._frames.call(_SET_PARAMETERS, _AUTOMATIC_RATS)
        self._frames.call(_RF_CONFIGURATION, _RETRIES)
        self._selected = True  # for all we know; an active card answers no search
        self._let_go()

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its whole answer, in pieces where they are long.

        raises  LinkLost; ReaderLost; NotOurCard for a card that speaks no ISO 14443-4
        """
        if not self._unbroken:
            raise LinkLost("no card is active at the PN532")
        if not self._iso_dep:
            raise NotOurCard(0x6A82, "a card without ISO 14443-4")
        self._unbroken = False
        try:
            rest = memoryview(apdu)
            while len(rest) > _PIECE_BYTES:
                self._exchange(_TARGET | _MORE, rest[:_PIECE_BYTES], wait_ms)
                rest = rest[_PIECE_BYTES:]
            answer = self._gather(rest, wait_ms)
        except NoAnswer as error:
            raise LinkLost(str(error))
        self._unbroken = True
        return answer

    def _exchange(self, target: int, data: "bytes | memoryview", wait_ms: int) -> memoryview:
        """One InDataExchange: status and data of the answer. Raises LinkLost for an error status."""
        answer = self._frames.call(_IN_DATA_EXCHANGE, bytes((target,)), data, wait_ms)
        if not len(answer):
            raise LinkLost("the PN532 answered an exchange without a status")
        if answer[0] & _ERROR_MASK:
            raise LinkLost("the PN532 lost the card (status %02X)" % (answer[0] & _ERROR_MASK))
        return answer

    def _gather(self, data: "bytes | memoryview", wait_ms: int) -> bytes:
        """The last piece out, all pieces of the answer in."""
        count = 0
        more = True
        while more:
            piece = self._exchange(_TARGET, data, wait_ms)
            data = b""
            more = piece[0] & _MORE != 0
            end = count + len(piece) - 1
            if end > _ANSWER_BYTES_MAX or end == count and more:
                raise LinkLost("the card's answer is no short APDU's")
            self._answer[count:end] = piece[1:]
            count = end
        if count < 2:
            raise LinkLost("the card's answer has no status word")
        return bytes(memoryview(self._answer)[:count])

    def _look(self) -> "Target | None":
        """One try to find and activate a card. Raises TwoCards."""
        answer = self._frames.call(_IN_LIST_PASSIVE_TARGET, _TWO_TYPE_A)
        self._crowd = False
        if len(answer) < 6 or not answer[0]:  # count, then number, SENS_RES 2, SEL_RES, length of the UID
            return None
        if answer[0] > 1:
            self._selected = self._crowd = True
            raise TwoCards("two cards at the PN532")
        self._selected = self._unbroken = True
        self._iso_dep = answer[4] & _ISO_DEP != 0
        return Target(bytes(answer[6 : 6 + answer[5]]))

    def _is_there(self) -> bool:
        if not self._selected:
            return False
        if self._iso_dep:
            status = self._frames.call(_DIAGNOSE, _CARD_PRESENCE)
            return len(status) == 1 and status[0] & _ERROR_MASK == 0
        self._let_go()
        return self._look() is not None

    def _let_go(self) -> None:
        """Release the card and take its power away, so that it starts afresh when it is found again."""
        if self._selected:
            self._selected = self._unbroken = False
            self._frames.call(_IN_RELEASE, _ALL_TARGETS)
            self._frames.call(_RF_CONFIGURATION, _FIELD_OFF)
            self._frames.pause(FIELD_OFF_MS)
            self._frames.call(_RF_CONFIGURATION, _FIELD_ON)
