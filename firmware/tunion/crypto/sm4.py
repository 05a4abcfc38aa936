"""SM4 on blocks, GB/T 32907. Encryption only: no flow of the scheme decrypts."""

from array import array

from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.crypto.sm4_plain import crypt_block, expand_key
else:
    try:
        from tunion.crypto.sm4_viper import crypt_block, expand_key
    except (ImportError, SyntaxError):  # CPython has no micropython module, the WebAssembly build no viper
        from tunion.crypto.sm4_plain import crypt_block, expand_key


class Sm4:
    """SM4 under a 16-byte key."""

    block_bytes = 16

    def __init__(self, key: bytes) -> None:
        if len(key) != 16:
            raise BadInput("an SM4 key has 16 bytes")
        self._schedule = array("I", bytes(128))
        expand_key(key, self._schedule)

    def encrypt(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes."""
        if len(block) != 16:
            raise BadInput("an SM4 block has 16 bytes")
        out = bytearray(16)
        crypt_block(block, out, self._schedule)
        return bytes(out)

    def encrypt_in_place(self, block: bytearray) -> None:
        """16 bytes, overwritten: for chains."""
        crypt_block(block, block, self._schedule)
