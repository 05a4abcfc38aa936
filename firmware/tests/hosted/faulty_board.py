"""A validator with a bug in its reader's line, for the supervisor: INTERPRETER faulty_board.py FAULT DEVICE_CBOR

FAULT is a file that says what happens at the next byte that is read from the reader:

    crash   an exception that nobody catches, its text a card number; each time, until the file is gone
    hang    the driver never comes back, as over a line whose library waits for ever; once: the file is removed first

Otherwise it is the board that the interpreter brings.
"""

import os
import sys

from boards.pc import console

if sys.implementation.name == "micropython":
    from boards.unix.board import UnixBoard as Board
else:
    from boards.desk.board import DeskBoard as Board

    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)

SECRET = "3104999000000000666"


class FaultyLine:
    """A line, and the fault."""

    def __init__(self, line, path):
        self._line = line
        self._path = path
        self.open = line.open
        self.write = line.write
        self.set_speed = line.set_speed

    def read_into(self, buffer, wait_ms):
        fault = self._fault()
        if fault == "crash":
            raise KeyError(SECRET)
        if fault == "hang":
            os.remove(self._path)
            open(self._path + ".fifo", "rb")  # which nobody opens to write
        return self._line.read_into(buffer, wait_ms)

    def _fault(self):
        try:
            with open(self._path) as file:
                return file.read().strip()
        except OSError:
            return ""


class FaultyBoard(Board):
    def __init__(self, path):
        self._path = path

    def line(self, path, speed=115200, form="8N1"):
        make = super().line
        return FaultyLine(make(path, speed, form), self._path)


if __name__ == "__main__":
    sys.exit(console.main(FaultyBoard(sys.argv[1]), sys.argv[1:]))
