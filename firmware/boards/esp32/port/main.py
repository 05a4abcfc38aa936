"""What the board starts with."""

from boards.esp32 import main

main.run()
