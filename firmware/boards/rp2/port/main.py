"""What the board starts with."""

from boards.rp2 import main

main.run()
