"""What the board starts with, where the emulator says so."""

from boards.qemu_mps2 import main

main.run()
