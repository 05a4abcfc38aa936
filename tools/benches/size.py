"""firmware.size: the compiled firmware of each processor against its Python source."""

from collections.abc import Iterator

from tools.bench import Figure
from tools.firmware import ARCHES, BOARDS, PORTABLE, build
from tools.paths import FIRMWARE


def firmware_size() -> Iterator[Figure]:
    """Bytes of all .mpy together; what a ROMFS image or flash must hold."""
    for arch in ARCHES:
        folders = PORTABLE + BOARDS.get(arch, ())
        source = sum(path.stat().st_size for folder in folders for path in (FIRMWARE / folder).rglob("*.py"))
        yield Figure(f"firmware.size.{arch}", sum(build(arch).values()), "B", "Python source", source)
