"""What a board's firmware is built with: everything of ours, compiled, in its program memory and not in its heap.

`ykt firmware freeze` does it for the emulated board; how for others: firmware/docs/boards.md
"""

# ruff: noqa: F821 - the build brings these names

import os

options.defaults(board="qemu_mps2")
board = "boards/" + options.board
package("tunion")
package("validator")
package("boards/common")
package(board, files=[name for name in sorted(os.listdir(board)) if name.endswith(".py")])  # `port` is the build's
include(board + "/port/manifest.py")
