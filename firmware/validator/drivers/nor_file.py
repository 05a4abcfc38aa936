"""NOR flash in a file, for unix and desk: the Flash port with the rules of the chip kept.

A file has no bits that cannot be set; this one does, so that a journal that works here works on a chip. Each
program and erase is in the file when it returns, and on the disk: a SIGKILL loses nothing that was answered for, a
power cut nothing that the disk took. `fsync` costs about 0.2 ms on the virtual disk it was measured on, 2025-11.
"""

import os

from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes


class NorFile:
    """A flash image of sectors * sector_bytes. Made, all FF, where there is none; raises FlashFault."""

    def __init__(self, path: str, sector_bytes: int = 4096, page_bytes: int = 256, sectors: int = 64) -> None:
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.sectors = sectors
        self._path = path
        self._bytes = sectors * sector_bytes
        self._page = bytearray(page_bytes)
        try:
            if not _exists(path):
                self._make(path + ".new")
            self._file = open(path, "r+b", buffering=0)
            found = self._file.seek(0, 2)
        except OSError as error:
            raise self._fault("opened", error)
        if found != self._bytes:
            self._file.close()
            raise FlashFault(
                "%s has %d bytes, a flash of %d was expected: name another file, or move it away for an empty one"
                % (path, found, self._bytes)
            )

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        """Fill `buffer` from `address`. Raises FlashFault past the end."""
        self._check_range(address, len(buffer))
        try:
            self._file.seek(address)
            got = self._file.readinto(buffer)
        except OSError as error:
            raise self._fault("read", error)
        if got != len(buffer):
            raise FlashFault("%s was cut short while in use: restore the image" % self._path)

    def program(self, address: int, data: "Bytes") -> None:
        """Clear bits so that `data` stands at `address`, within one page. Durable on return. Raises FlashFault."""
        self._check_range(address, len(data))
        if address % self.page_bytes + len(data) > self.page_bytes:
            raise FlashFault("programming %d bytes at %d crosses a page" % (len(data), address))
        before = memoryview(self._page)[: len(data)]
        self.read_into(address, before)
        for i in range(len(data)):
            if data[i] & ~before[i]:
                raise FlashFault("programming at %d would set a bit: erase the sector first" % (address + i))
        self._write(address, data)
        self._sync()

    def erase(self, sector: int) -> None:
        """Set sector number `sector` to FF. Durable on return. Raises FlashFault."""
        if not 0 <= sector < self.sectors:
            raise FlashFault("no sector %d in a flash of %d" % (sector, self.sectors))
        start = sector * self.sector_bytes
        for i in range(self.page_bytes):
            self._page[i] = 0xFF
        for address in range(start, start + self.sector_bytes, self.page_bytes):
            self._write(address, self._page)
        self._sync()

    def close(self) -> None:
        """Give the file back. Everything is on disk already."""
        self._file.close()

    def _make(self, path: str) -> None:
        """Write an empty flash beside, then rename: a half-made image never carries the real name."""
        with open(path, "wb") as image:
            for _ in range(self._bytes // self.page_bytes):
                image.write(b"\xff" * self.page_bytes)
        os.rename(path, self._path)

    def _check_range(self, address: int, count: int) -> None:
        if address < 0 or address + count > self._bytes:
            raise FlashFault("%d bytes at %d lie outside the flash of %d bytes" % (count, address, self._bytes))

    def _write(self, address: int, data: "Bytes") -> None:
        try:
            self._file.seek(address)
            written = self._file.write(data)
        except OSError as error:
            raise self._fault("written", error)
        if written != len(data):
            raise FlashFault("%s: only %s of %d bytes were written: free the disk" % (self._path, written, len(data)))

    def _sync(self) -> None:
        try:
            if hasattr(os, "fsync"):
                os.fsync(self._file.fileno())
            else:
                self._file.flush()  # MicroPython's flush of a file is fsync
        except OSError as error:
            raise self._fault("synced", error)

    def _fault(self, what: str, error: OSError) -> FlashFault:
        return FlashFault(
            "%s cannot be %s (errno %s): check its folder, its rights and the space on the disk"
            % (self._path, what, error.args[0] if error.args else "?")
        )


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True
