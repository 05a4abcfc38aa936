"""Starts the validator in the ROM image. Frozen: nothing before it needs a file system."""

import sys

import board
import uctypes
import vfs

ROM_AT = 0x21800000  # above the flash, in the same memory

vfs.mount(vfs.VfsRom(uctypes.bytearray_at(ROM_AT, board.rom_bytes())), "/rom")
sys.path.insert(0, "/rom")

from boards.qemu_mps2 import main  # noqa: E402 - it lies in the image

main.run()
board.reset()
