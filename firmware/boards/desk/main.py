"""A validator on a desk, under CPython: python -m boards.desk.main DEVICE_CBOR

Commands and what it prints: boards/pc/console.py.
"""

import io
import sys

from boards.desk.board import DeskBoard
from boards.pc import console

if __name__ == "__main__":
    assert isinstance(sys.stdout, io.TextIOWrapper)
    # Chinese in any locale; whoever waits at the other end of a pipe wants each line at once.
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    sys.exit(console.main(DeskBoard(), sys.argv))
