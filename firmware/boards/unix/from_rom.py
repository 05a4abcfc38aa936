"""Runs a validator from a ROM image, as a board does: compiled code stays where it is, outside the heap.

    micropython [-X heapsize=...] firmware/boards/unix/from_rom.py IMAGE -m boards.unix.main device.cbor

IMAGE is a ROMFS image of build/firmware/x64, see tools/board.py. Copied into the heap, as a .mpy from a file system is,
the code leaves holes there that no board has.
"""

import os
import sys

import ffi
import uctypes
import vfs

_PROT_READ = 1
_MAP_PRIVATE = 2


def mount(path: str) -> None:
    """Map the image into memory and mount it; its modules come before all others."""
    libc = ffi.open("libc.so.6")
    size = os.stat(path)[6]
    descriptor = libc.func("i", "open", "si")(path, 0)
    if descriptor < 0:
        raise OSError("no ROM image at " + path)
    address = libc.func("P", "mmap", "PLiiiL")(None, size, _PROT_READ, _MAP_PRIVATE, descriptor, 0)
    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
    sys.path.insert(0, "/rom")


if __name__ == "__main__":
    mount(sys.argv[1])
    from boards.pc import console
    from boards.unix.board import UnixBoard

    sys.exit(console.main(UnixBoard(), sys.argv[3:]))
