"""AES-128-CBC in the shape that tunion.wire.soft_sam takes, under the interpreter at hand."""

__all__ = ("cbc_decrypt", "cbc_encrypt")

try:
    from boards.unix.aes import cbc_decrypt, cbc_encrypt
except ImportError:  # CPython has no cryptolib
    from boards.desk.aes import cbc_decrypt, cbc_encrypt
