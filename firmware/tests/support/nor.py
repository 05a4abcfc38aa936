"""NOR flash in memory that refuses to set bits, and loses power after a chosen amount of work.

Work is counted in bytes while programming and in parts of the sector while erasing, so that a sweep over `cut_after`
visits every torn byte. A cut raises PowerCut; the flash then refuses everything until `rebooted()`.
"""

from validator.ports import FlashFault

# The parts of a sector in which an erase proceeds, in 1/1024: cut short it leaves any mixture of old and blank.
FORWARD = tuple((at, at + 64) for at in range(0, 1024, 64))
BACKWARD = tuple(reversed(FORWARD))
MARKS_FIRST = ((56, 64),) + tuple((slot + 100, slot + 128) for slot in range(128, 1024, 128)) + FORWARD


class PowerCut(Exception):
    """The power failed. Nothing after this line happened."""


class NorFlash:
    """`cut_after`: how many bytes of programming still succeed, None for no cut. A torn byte has half its bits."""

    def __init__(self, sectors=8, sector_bytes=1024, page_bytes=256, cut_after=None, cells=None, erase_order=FORWARD):
        self.sectors = sectors
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.cut_after = cut_after
        self.erase_order = erase_order
        self.cells = cells or bytearray(b"\xff" * (sectors * sector_bytes))
        self.programmed_bytes = 0
        self.erases = 0
        self._dark = False

    def rebooted(self, cut_after=None):
        """The same cells under new power."""
        return NorFlash(
            self.sectors, self.sector_bytes, self.page_bytes, cut_after, self.cells, self.erase_order
        )

    def read_into(self, address, buffer):
        self._need_power()
        if address < 0 or address + len(buffer) > len(self.cells):
            raise FlashFault("read past the end")
        buffer[:] = self.cells[address : address + len(buffer)]

    def program(self, address, data):
        self._need_power()
        if address < 0 or address + len(data) > len(self.cells):
            raise FlashFault("program past the end")
        if address // self.page_bytes != (address + len(data) - 1) // self.page_bytes:
            raise FlashFault("program across a page border")
        for i in range(len(data)):
            if data[i] & ~self.cells[address + i] & 0xFF:
                raise FlashFault("a bit that would have to be set at %d" % (address + i))
        for i in range(len(data)):
            self._work(address + i, data[i])
            self.cells[address + i] = data[i]
            self.programmed_bytes += 1

    def erase(self, sector):
        self._need_power()
        if not 0 <= sector < self.sectors:
            raise FlashFault("no such sector")
        start = sector * self.sector_bytes
        for first, last in self.erase_order:
            self._work(None, 0)
            first, last = first * self.sector_bytes // 1024, last * self.sector_bytes // 1024
            self.cells[start + first : start + last] = b"\xff" * (last - first)
        self.erases += 1

    def _work(self, address, value):
        if self.cut_after is None:
            return
        if self.cut_after == 0:
            if address is not None:
                self.cells[address] &= value | 0x55
            self._dark = True
            raise PowerCut("power failed")
        self.cut_after -= 1

    def _need_power(self):
        if self._dark:
            raise PowerCut("power is off")
