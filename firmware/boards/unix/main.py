"""A validator on a PC, under MicroPython: micropython -m boards.unix.main DEVICE_CBOR

Commands and what it prints: boards/pc/console.py.
"""

import sys

from boards.pc import console
from boards.unix.board import UnixBoard

if __name__ == "__main__":
    sys.exit(console.main(UnixBoard(), sys.argv))
