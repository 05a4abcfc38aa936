"""What a board's firmware is built with: everything of ours, compiled, in its program memory and not in its heap.

`ykt firmware freeze` does it for the emulated board; how for others: firmware/docs/boards.md
"""

# ruff: noqa: F821 - the build brings these names
options.defaults(board="qemu_mps2")
package("tunion")
package("validator")
package("boards/common")
package("boards/" + options.board)
include("boards/" + options.board + "/port/manifest.py")
