"""The emulated ARM board: MicroPython on a Cortex-M3 (QEMU, mps2-an385), with an image of modules in its ROM.

Every instruction takes 64 ns of the board's own time, so a count of its 25 MHz counter is a count of instructions: the
same in every run, whatever else this machine is doing.
"""

import atexit
import contextlib
import functools
import io
import os
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from mpremote.romfs import make_romfs  # type: ignore[import-untyped]

from tools import firmware
from tools.paths import BOARD, FIRMWARE, MPY_CROSS, require

ARCH = "armv7m"
ROM_AT = 0x21000000         # 16 MB of memory that a reset leaves alone; a validator has its flash there
HEAP_BYTES_AT = 0x21FFFFFC
HEAP_BYTES_MAX = 1 << 20    # a test brings the card, the flash and the office with it, and they live in the same heap
DEVICE_HEAP_BYTES = 192 << 10   # what MicroPython leaves of an RP2040; an allocation costs more in a larger one
SHIFT = 6                   # an instruction takes 2**SHIFT ns
COUNT_NS = 40               # of the counter behind time.ticks_cpu()
WAIT_S = 120                # a program that is silent for longer hangs
PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
END = b"\x04"


class BoardFailed(Exception):
    """The program raised, or the board did not answer. The message holds what it printed."""


def image(folder: Path, sources: Iterable[Path] = ()) -> Path:
    """A ROM image of the compiled firmware and more modules (.py, compiled as well), made in `folder`."""
    tree = folder / "rom"
    shutil.copytree(firmware_folder(ARCH), tree)
    for source in sources:
        package = tree / source.parent.name if (source.parent / "__init__.py").exists() else tree
        package.mkdir(exist_ok=True)
        compiled = package / (source.stem + ".mpy")
        subprocess.run([require(MPY_CROSS), f"-march={ARCH}", "-s", source.name, "-o", compiled, source], check=True)
    rom = folder / "rom.img"
    rom.write_bytes(_romfs(tree))
    return rom


@functools.cache
def frozen() -> Path:
    """The interpreter with the whole firmware frozen into it, as firmware/manifest.py says; modules that did not
    change are not compiled again. Raises BoardFailed.
    """
    kit = require(BOARD / "kit", "make test")
    here, out = kit / "src" / "ports" / "qemu", kit / "out"
    content = out / "frozen_content.c"
    content.unlink(missing_ok=True)     # a module that is gone makes nothing newer
    _do(
        [
            sys.executable, kit / "src" / "tools" / "makemanifest.py", "-o", content, "-b", out,
            "-v", f"MPY_DIR={kit / 'src'}", "-v", f"PORT_DIR={here}", "-v", "MPY_LIB_DIR=",
            f"-f-march={ARCH}", FIRMWARE / "manifest.py",
        ],
        FIRMWARE,
    )  # fmt: skip
    for line in (kit / "commands").read_text().splitlines():
        _do([word.replace("@", str(kit)) for word in shlex.split(line)], here)
    return out / "firmware.elf"


def code_bytes(elf: Path) -> int:
    """What of a firmware lies in program memory: code, constants, and what RAM starts with."""
    said = subprocess.run(["arm-none-eabi-size", elf], check=True, text=True, stdout=subprocess.PIPE).stdout
    text, data = said.splitlines()[1].split()[:2]
    return int(text) + int(data)


def _do(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "MICROPY_MPYCROSS": str(require(MPY_CROSS))}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise BoardFailed(f"{Path(command[0]).name} failed:\n{done.stdout}")


def pc_image(folder: Path) -> Path:
    """A ROM image of the compiled firmware for boards/unix/from_rom.py, made in `folder`."""
    rom = folder / "rom.img"
    rom.write_bytes(_romfs(firmware_folder("x64")))
    return rom


@functools.cache
def firmware_folder(arch: str) -> Path:
    """The firmware, compiled afresh, once in the life of this process and for it alone."""
    scratch = tempfile.mkdtemp(prefix="ykt-firmware-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder = Path(scratch) / arch
    firmware.build(arch, folder)
    return folder


def _romfs(tree: Path) -> bytes:
    with contextlib.redirect_stdout(io.StringIO()):     # mpremote lists what it takes
        return bytes(make_romfs(str(tree), mpy_cross=False))


def run(program: str, rom: Path, heap_bytes: int = DEVICE_HEAP_BYTES) -> str:
    """What `program` prints on the board. Its modules are those of the image; raises BoardFailed.

    `instructions()` is a running count, to be subtracted with `spent(since)`, for sections below 100 million.
    """
    size = rom.stat().st_size
    head = (
        f"import sys, time, uctypes, vfs\n"
        f"vfs.mount(vfs.VfsRom(uctypes.bytearray_at({ROM_AT:#x}, {size})), '/rom')\n"
        f"sys.path.insert(0, '/rom')\n"
        f"instructions = time.ticks_cpu\n"
        f"def spent(since):\n"
        f"    return (time.ticks_cpu() - since & 0x3FFFFFFF) * {COUNT_NS} >> {SHIFT}\n"
    )
    command = [
        "qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none", "-semihosting",
        "-serial", "stdio",
        "-icount", f"shift={SHIFT},sleep=off", "-kernel", str(require(BOARD / "firmware.elf", "make test")),
        "-device", f"loader,file={rom},addr={ROM_AT:#x},force-raw=on",
        "-device", f"loader,data={heap_bytes},data-len=4,addr={HEAP_BYTES_AT:#x}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as board:
        try:
            return _talk(board, head + program)
        finally:
            board.kill()


def _talk(board: "subprocess.Popen[bytes]", program: str) -> str:
    assert board.stdin and board.stdout
    board.stdin.write(b"\x03\x03\x01")
    board.stdin.flush()
    _until(board, PROMPT)
    board.stdin.write(program.encode() + END)
    board.stdin.flush()
    printed = _until(board, END)
    error = _until(board, END)
    text = printed.removeprefix(b"OK").replace(b"\r\n", b"\n").decode(errors="replace")
    if error:
        raise BoardFailed(text + error.replace(b"\r\n", b"\n").decode(errors="replace"))
    return text


def _until(board: "subprocess.Popen[bytes]", mark: bytes) -> bytes:
    """What the board says before `mark`."""
    assert board.stdout
    said = bytearray()
    while not said.endswith(mark):
        ready, _, _ = select.select([board.stdout], [], [], WAIT_S)
        more = os.read(board.stdout.fileno(), 1) if ready else b""
        if not more:
            raise BoardFailed(f"the board fell silent after: {bytes(said)!r}")
        said += more
    return bytes(said[: -len(mark)])
