"""One block into another in plain Python: the reference that the viper twin must equal."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes


def xor_block(target: bytearray, source: "Bytes", at: int) -> None:
    """target[i] ^= source[at + i], for the whole target; source must reach as far."""
    size = len(target)
    mixed = int.from_bytes(target, "big") ^ int.from_bytes(source[at : at + size], "big")
    target[:] = mixed.to_bytes(size, "big")
