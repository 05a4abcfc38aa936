"""DES and two-key triple DES on blocks. FIPS 46-3, NIST SP 800-67. Keys are not adjusted for parity."""

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
        self._schedule = bytearray(128)
        expand_key(key, self._schedule)

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
        crypt_block(block, out, self._schedule, backward)
        return bytes(out)


class TripleDes:
    """Encrypt with the left half, decrypt with the right, encrypt with the left. 16-byte key, or 8 for single DES."""

    block_bytes = 8

    def __init__(self, key: bytes) -> None:
        if len(key) not in (8, 16):
            raise BadInput("a triple DES key has 16 bytes, or 8 where it degenerates to DES")
        self._outer = Des(key[:8])
        self._inner = Des(key[8:] or key)

    def encrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._outer.encrypt(self._inner.decrypt(self._outer.encrypt(block)))

    def decrypt(self, block: bytes) -> bytes:
        """8 bytes to 8 bytes."""
        return self._outer.decrypt(self._inner.encrypt(self._outer.decrypt(block)))
