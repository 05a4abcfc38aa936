"""What the board starts with, where the emulator says so. It comes back only to be reset."""

import board

from boards.qemu_mps2 import main

main.run()
board.reset()
