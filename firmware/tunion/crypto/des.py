"""DES and two-key triple DES on blocks. FIPS 46-3, NIST SP 800-67. Keys are not adjusted for parity."""

from array import array

from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.crypto.des_plain import crypt_block, expand_key
else:
    try:
        from tunion.crypto.des_viper import crypt_block, expand_key
    except (ImportError, SyntaxError):  # CPython has no micropython module, the WebAssembly build no viper
        from tunion.crypto.des_plain import crypt_block, expand_key


class Des:
    """Single DES under an 8-byte key."""

    block_bytes = 8

    def __init__(self, key: bytes) -> None:
        if len(key) != 8:
            raise BadInput("a DES key has 8 bytes")
        self._schedule = _expanded(key)

    def encrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._crypt(block, 0)

    def decrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._crypt(block, 1)

    def encrypt_in_place(self, block: bytearray) -> None:
        """8 bytes, overwritten: for chains."""
        crypt_block(block, block, self._schedule, 0)

    def _crypt(self, block: bytes, backward: int) -> bytes:
        if len(block) != 8:
            raise BadInput("a DES block has 8 bytes")
        out = bytearray(8)
        crypt_block(block, out, self._schedule, backward)
        return bytes(out)


class TripleDes:
    """Encrypt with the left half, decrypt with the right, encrypt with the left. 16-byte key, or 8 for single DES."""

    block_bytes = 8

    def __init__(self, key: bytes) -> None:
        if len(key) not in (8, 16):
            raise BadInput("a triple DES key has 16 bytes, or 8 where it degenerates to DES")
        self._outer = _expanded(key[:8])
        self._inner = _expanded(key[8:]) if len(key) == 16 else self._outer

    def encrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._crypt(block, 0)

    def decrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._crypt(block, 1)

    def _crypt(self, block: bytes, backward: int) -> bytes:
        if len(block) != 8:
            raise BadInput("a DES block has 8 bytes")
        out = bytearray(8)
        crypt_block(block, out, self._outer, backward)
        crypt_block(out, out, self._inner, 1 - backward)
        crypt_block(out, out, self._outer, backward)
        return bytes(out)


def _expanded(key: bytes) -> "array[int]":
    schedule = array("I", bytes(128))
    expand_key(key, schedule)
    return schedule
