"""NOR flash in memory that loses its power at a chosen byte: the Flash port for schedules of many reboots."""

from validator.ports import FlashFault

ERASE_PARTS = 16    # an erase takes so many steps; the power may fail between any two


class PowerCut(Exception):
    """The power failed; nothing after this line happened."""


class RamFlash:
    """`cut_after`: so many bytes (or parts of an erase) still succeed, None: all of them; `cuts`: then so many more."""

    page_bytes = 256
    program_bytes = 1

    def __init__(self, sectors: int, sector_bytes: int) -> None:
        self.sectors = sectors
        self.sector_bytes = sector_bytes
        self.cut_after: int | None = None
        self.cuts: list[int] = []
        self._cells = bytearray(b"\xff" * (sectors * sector_bytes))

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        buffer[:] = self._cells[address : address + len(buffer)]

    def program(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        if address // self.page_bytes != (address + len(data) - 1) // self.page_bytes:
            raise FlashFault(f"programming {len(data)} bytes at {address} crosses a page")
        for at, byte in enumerate(data, address):
            if byte & ~self._cells[at] & 0xFF:
                raise FlashFault(f"programming at {at} would set a bit")
            if self._is_cut():
                self._cells[at] &= byte | 0x55
                raise PowerCut
            self._cells[at] = byte

    def erase(self, sector: int) -> None:
        part_bytes = self.sector_bytes // ERASE_PARTS
        for start in range(sector * self.sector_bytes, (sector + 1) * self.sector_bytes, part_bytes):
            if self._is_cut():
                raise PowerCut
            self._cells[start : start + part_bytes] = b"\xff" * part_bytes

    def _is_cut(self) -> bool:
        if self.cut_after is None:
            return False
        if self.cut_after == 0:
            self.cut_after = self.cuts.pop(0) if self.cuts else None
            return True
        self.cut_after -= 1
        return False
