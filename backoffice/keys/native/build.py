"""Compiles build/native/libyktac.so: `python -m backoffice.keys.native`, a step of `make setup`.

Behind the library stand the hash of all that it was made from and one of the file: `load` compares them before a
loader sees it, which dies of a file cut short. The file is moved into place whole.
"""

import hashlib
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from backoffice.keys.native import generate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LIBRARY = ROOT / "build" / "native" / "libyktac.so"

HASH_DIGITS = 64

UNITS = ("tac.c", "tac_portable.c", "tac_avx2.c")
HEADERS = ("tac.h", "lanes.h")
TABLES = ROOT / "firmware" / "tunion" / "crypto" / "des_tables.py"
FLAGS = (
    "-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion", "-Wshadow",
    "-Werror",
)  # fmt: skip


def source_hash(folder: Path = HERE) -> str:
    """64 hex digits over all that the library is made from, and the kind of processor."""
    digest = hashlib.sha256(platform.machine().encode())
    for path in (*(folder / name for name in (*UNITS, *HEADERS, "generate.py", "build.py")), TABLES):
        content = path.read_bytes()
        digest.update(b"%s %d\n" % (path.name.encode(), len(content)))
        digest.update(content)
    return digest.hexdigest()


def build(target: Path = LIBRARY, flags: tuple[str, ...] = FLAGS, wires: str = "", sources: Path = HERE) -> None:
    """Compile with $CC or gcc. Raises CalledProcessError where it refuses; what it says goes to our own output.

    wires    in place of what generate.py writes: a test's, to see that wrong circuits are found out
    sources  the folder of the C files: a test's, likewise
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        (Path(folder) / "des_wires.h").write_text(wires or generate.as_c())
        made = Path(folder) / target.name
        units = [str(sources / name) for name in UNITS]
        compiler = os.environ.get("CC", "gcc")
        paths = [f"-I{folder}", f"-I{sources}", "-shared", "-o", str(made), *units]
        subprocess.run([compiler, *flags, *paths], check=True)
        made.write_bytes(sealed(made.read_bytes()))
        os.replace(made, target)


def sealed(library: bytes) -> bytes:
    """The file of a library: the hash of its sources and of the file up to there behind it."""
    content = library + source_hash().encode()
    return content + hashlib.sha256(content).hexdigest().encode()


def fault(path: Path) -> str:
    """Why the library at `path` is not to be loaded; "" if it may be."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{path.name} is not built: run `make setup`"
    except OSError as error:
        return f"{path.name} cannot be read ({error.__class__.__name__}): run `make setup`"
    if hashlib.sha256(content[:-HASH_DIGITS]).hexdigest().encode() != content[-HASH_DIGITS:]:
        return f"{path.name} is damaged: run `make setup`"
    if content[-2 * HASH_DIGITS : -HASH_DIGITS] != source_hash().encode():
        return f"{path.name} is not made from these sources: run `make setup`"
    return ""
