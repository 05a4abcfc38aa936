"""libpcsclite through MicroPython's ffi, for validator.drivers.pcsc.

Words (DWORD, LONG, handles) are `long`, so 8 bytes on 64-bit Linux and 4 on 32-bit. Source: pcsc-lite 1.9
winscard.h and pcsclite.h.
"""

import struct

import ffi
import uctypes

from tunion.compat import const

_LIBRARY = "libpcsclite.so.1"
_WORD_BYTES = struct.calcsize("L")
_EVENT_AT = 3 * _WORD_BYTES  # in SCARD_READERSTATE: name, user data, current state, event state, length, ATR
_ATR_ROOM_BYTES = const(40)  # 33, padded
_ANSWER_BYTES_MAX = const(258)  # of a short APDU, status word included


class Pcsclite:
    """The library's functions, one caller at a time. Raises OSError where libpcsclite1 is not installed."""

    def __init__(self) -> None:
        lib = ffi.open(_LIBRARY)
        self._establish = lib.func("l", "SCardEstablishContext", "LPPP")
        self._connect = lib.func("l", "SCardConnect", "lPLLPP")
        self._transmit = lib.func("l", "SCardTransmit", "lPPLPPP")
        self._status_change = lib.func("l", "SCardGetStatusChange", "lLPL")
        self.release = lib.func("l", "SCardReleaseContext", "l")
        self.disconnect = lib.func("l", "SCardDisconnect", "lL")
        self._handle = bytearray(_WORD_BYTES)
        self._word = bytearray(_WORD_BYTES)
        self._state = bytearray(5 * _WORD_BYTES + _ATR_ROOM_BYTES)  # SCARD_READERSTATE
        self._pci = bytearray(2 * _WORD_BYTES)  # SCARD_IO_REQUEST
        self._answer = bytearray(_ANSWER_BYTES_MAX)

    def establish(self, scope: int) -> "tuple[int, int]":
        """Return code, context."""
        rc: int = self._establish(scope, None, None, self._handle)
        return rc, _signed(self._handle)

    def status_change(self, context: int, name: str, known: int, wait_ms: int) -> "tuple[int, int]":
        """Return code, event state of the reader `name`."""
        name_z = _c_string(name)  # referenced by address: must live until the call returns
        struct.pack_into("LLLLL", self._state, 0, uctypes.addressof(name_z), 0, known, 0, 0)
        rc: int = self._status_change(context, wait_ms, self._state, 1)
        return rc, struct.unpack_from("L", self._state, _EVENT_AT)[0]

    def connect(self, context: int, name: str, share: int, protocols: int) -> "tuple[int, int, int]":
        """Return code, card, protocol."""
        rc: int = self._connect(context, _c_string(name), share, protocols, self._handle, self._word)
        return rc, _signed(self._handle), _unsigned(self._word)

    def transmit(self, card: int, protocol: int, apdu: "bytes | memoryview") -> "tuple[int, bytes]":
        """Return code, answer."""
        struct.pack_into("LL", self._pci, 0, protocol, len(self._pci))
        struct.pack_into("L", self._word, 0, _ANSWER_BYTES_MAX)
        rc: int = self._transmit(card, self._pci, apdu, len(apdu), None, self._answer, self._word)
        return rc, b"" if rc else bytes(memoryview(self._answer)[: _unsigned(self._word)])


def _c_string(text: str) -> bytes:
    return text.encode() + b"\x00"


def _signed(word: bytearray) -> int:
    value: int = struct.unpack("l", word)[0]
    return value


def _unsigned(word: bytearray) -> int:
    value: int = struct.unpack("L", word)[0]
    return value
