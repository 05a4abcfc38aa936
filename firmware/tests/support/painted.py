"""The flash of a journal that went round many times, painted when it is read: a ring of 16 MiB in no memory."""

from tunion.crc import crc32
from tunion.wire import tap as wire
from validator.cells import SET, sealed
from validator.sector import NONE_3, USE, VOID_BYTES, packed_checkpoint, packed_format
from validator.slot import SLOT_BYTES

EPOCH = 0xC0FFEE01
BLANK = b"\xff" * SLOT_BYTES


class PaintedRing:
    """Generations up to `head`, drained before `tail`, `entries` in the head; two sectors ready, one void.

    holes   sector numbers that tell nothing
    reads   since it was made
    """

    def __init__(self, sectors, head, tail, entries, holes=(), sector_bytes=4096):
        self.sectors = sectors
        self.sector_bytes = sector_bytes
        self.page_bytes = 256
        self.program_bytes = 1
        self.head = head
        self.tail = tail
        self.entries = entries
        self.holes = holes
        self.per_sector = sector_bytes // SLOT_BYTES - 1
        self.reads = 0
        self.programmed = {}  # address -> byte

    def first_seq(self, generation):
        return (generation - self.sectors) * self.per_sector + 1

    def read_into(self, address, buffer):
        self.reads += 1
        offset = address % SLOT_BYTES
        buffer[:] = self._slot(address - offset)[offset : offset + len(buffer)]
        for i in range(len(buffer)):
            buffer[i] &= self.programmed.get(address + i, 0xFF)

    def program(self, address, data):
        for i in range(len(data)):
            self.programmed[address + i] = self.programmed.get(address + i, 0xFF) & data[i]

    def _slot(self, address):
        sector = address // self.sector_bytes
        number = address % self.sector_bytes // SLOT_BYTES
        generation = self.head - (self.head - sector) % self.sectors
        if sector in self.holes:
            return BLANK
        ahead = generation + self.sectors - self.head
        if ahead in (1, 2):
            return BLANK if number else (packed_format(self.sectors, 9) + BLANK)[:SLOT_BYTES]
        if generation < self.sectors:
            return BLANK
        if ahead == 3:
            return BLANK if number else (bytes(VOID_BYTES) + BLANK)[:SLOT_BYTES]
        if number == 0:
            return self._header(generation)
        if generation == self.head and number > self.entries:
            return BLANK
        return self._entry(self.first_seq(generation) + number - 1)

    def _header(self, generation):
        use = sealed(USE, epoch=EPOCH, generation=generation, first_seq=self.first_seq(generation), terminal_seq=7)
        header = packed_format(self.sectors, 9) + packed_checkpoint([], NONE_3, []) + use + use
        if generation < self.tail:
            header += SET
        return (header + BLANK)[:SLOT_BYTES]

    def _entry(self, seq):
        body = wire.EVENT_V1.pack(
            kind=wire.EVENT,
            version=1,
            seq=seq,
            at_s=0,
            clk_q=3,
            code=wire.BOOT,
            reason=0,
            card=bytes(10),
            value=0,
            reserved=bytes(69),
        )
        return (body + crc32(body).to_bytes(4, "big") + BLANK)[:SLOT_BYTES]
