"""One block into another as native code: the twin of xor_plain. Importable only where viper compiles."""
# ruff: noqa: F821 - ptr8 is viper's own name

import micropython

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes


@micropython.viper
def _xor(target: ptr8, source: ptr8, i: int, at: int):
    while i:
        i -= 1
        target[i] ^= source[at + i]


def xor_block(target: bytearray, source: "Bytes", at: int) -> None:
    """As xor_plain.xor_block."""
    _xor(target, source, len(target), at)
