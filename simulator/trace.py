"""A card or SAM whose exchanges are written down, with card numbers masked. Keys are on no such line."""

from collections.abc import Callable, Collection

from simulator.field import Card

_SHOWN_BYTES = 2            # at both ends of an application serial number
_PUBLIC_FILE = 0x15
_SERIAL_AT = 10             # in file 15h
_SERIAL_BYTES = 10
_UPDATE_BINARY = 0xD6
_FACTOR_AT = {0x70: 25, 0x1A: 5}    # where SAM commands carry the last 8 bytes of a serial number


class Traced:
    """`card` with a line a command and a line an answer to `write`. A SAM has no serial number: None.

    serial  or what tells it, of a card that is being made
    more    serial numbers of further applications of the card
    """

    def __init__(
        self,
        card: Card,
        label: str,
        write: Callable[[str], object],
        serial: bytes | Callable[[], bytes | None] | None = None,
        *more: bytes,
    ) -> None:
        self._card = card
        self._label = label
        self._write = write
        self._serial = serial if callable(serial) else lambda: serial
        self._more = [number.lstrip(b"\x00") for number in more]

    @property
    def uid(self) -> bytes:
        return self._card.uid

    @property
    def atr(self) -> bytes:
        return self._card.atr

    def power_on(self) -> bytes:
        self._write(f"{self._label} on")
        return self._card.power_on()

    def power_off(self) -> None:
        self._card.power_off()

    def transceive(self, apdu: bytes) -> bytes:
        self._write(f"{self._label} > {masked(apdu, self._in_command(apdu))}")
        answer = self._card.transceive(apdu)
        hidden = {*self._in_answer(apdu, answer)}
        for number in self._more:
            at = answer.find(number)
            hidden |= {*range(at + _SHOWN_BYTES, at + len(number) - _SHOWN_BYTES)} if at >= 0 else set()
        self._write(f"{self._label} < {masked(answer, hidden)}")
        return answer

    def _in_command(self, apdu: bytes) -> range:
        if len(apdu) > 5 and apdu[1] == _UPDATE_BINARY and apdu[2] & 0x1F == _PUBLIC_FILE:
            return range(5, len(apdu))      # the file is being written: wherever the number stands
        at = _FACTOR_AT.get(apdu[1], len(apdu)) if len(apdu) > 4 else len(apdu)
        return range(at, at + _SERIAL_BYTES - 2 * _SHOWN_BYTES)

    def _in_answer(self, apdu: bytes, answer: bytes) -> range:
        """The middle of the serial number, wherever the answer holds it or a part of it."""
        serial = self._serial()
        if serial is None:
            return range(0)
        at = answer.find(serial)
        if len(apdu) >= 4 and apdu[1] == 0xB0 and apdu[2] & 0x1F in (_PUBLIC_FILE, 0):
            at = _SERIAL_AT - apdu[3]       # a read may begin or end within it
        elif at < 0:
            return range(0)
        end = min(at + _SERIAL_BYTES - _SHOWN_BYTES, len(answer) - 2)      # the status word is no part of it
        return range(at + _SHOWN_BYTES, end)


def masked(raw: bytes, hidden: Collection[int]) -> str:
    """Hex, with `**` for the hidden bytes."""
    return "".join("**" if at in hidden else f"{byte:02X}" for at, byte in enumerate(raw))


def masked_number(serial: bytes) -> str:
    """An application serial number fit for a screen: both ends of the card number."""
    return masked(serial, range(_SHOWN_BYTES, _SERIAL_BYTES - _SHOWN_BYTES))[1:]
