"""A tap run again from what card and SAM said the first time, so that only the terminal's own work is left."""

from support.bus import TERMINAL
from tunion.bcd import from_digits
from tunion.card import psam
from validator.drivers.soft_sam import SoftSam

OK = b"\x90\x00"


class Flat:
    """The Flash port over memory, as cheap as can be. Programs only what is blank."""

    program_bytes = 1
    page_bytes = 256

    def __init__(self, sectors, sector_bytes):
        self.sectors = sectors
        self.sector_bytes = sector_bytes
        self._cells = bytearray(b"\xff" * (sectors * sector_bytes))

    def read_into(self, address, buffer):
        buffer[:] = memoryview(self._cells)[address : address + len(buffer)]

    def program(self, address, data):
        self._cells[address : address + len(data)] = data

    def erase(self, sector):
        start = sector * self.sector_bytes
        self._cells[start : start + self.sector_bytes] = b"\xff" * self.sector_bytes


class Noting:
    """The Reader port over another one; `said` are the answers, `asked` the bytes of each command."""

    def __init__(self, reader):
        self._reader = reader
        self.said = []
        self.asked = []

    def transceive(self, apdu, wait_ms):
        self.asked.append(len(apdu))
        self.said.append(self._reader.transceive(apdu, wait_ms))
        return self.said[-1]


class Repeating:
    """The Reader port that says what was said before, in the same order."""

    def __init__(self, said):
        self._said = said
        self._at = 0

    def transceive(self, apdu, wait_ms):
        answer = self._said[self._at]
        self._at += 1
        return answer


class NotingSam(SoftSam):
    """Keeps what it signed."""

    def __init__(self, *values):
        super().__init__(*values)
        self.replies = []

    def sign(self, *values):
        reply = super().sign(*values)
        self.replies.append(reply)
        return reply


class RepeatingPsam:
    """A slot whose SAM signs what was signed before. Its files name the terminal of support.bus."""

    def __init__(self, signed):
        self._signed = list(signed)
        self._files = {
            0x96: TERMINAL,
            0x97: psam.APPLICATION.pack(
                key_index=1, issuer=bytes(8), receiver=bytes(8), start=from_digits("20250101"),
                expiry=from_digits("20351231"),
            ),
        }  # fmt: skip

    def open(self):
        pass

    def activate(self, wait_ms):
        return True

    def transceive(self, apdu, wait_ms):
        if apdu[1] == 0xB0:
            return self._files[apdu[2]] + OK if apdu[2] in self._files else b"\x6a\x82"
        if apdu[1] == 0x70:
            reply = self._signed.pop(0)
            return psam.INIT_SAM_FOR_PURCHASE.reply.pack(terminal_seq=reply[0], mac1=reply[1]) + OK
        return OK
