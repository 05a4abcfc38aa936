"""AES-128-CBC in the shape that tunion.wire.soft_sam takes, under the interpreter at hand."""

__all__ = ("cbc_decrypt", "cbc_encrypt")

try:
    from boards.common.aes import cbc_decrypt, cbc_encrypt
except ImportError:  # CPython has no cryptolib
    try:
        from boards.desk.aes import cbc_decrypt, cbc_encrypt
    except ImportError:  # the coverage build has neither: a stand-in, so that its lines can be counted

        def cbc_encrypt(key, iv, blocks):
            """No cipher at all, but it undoes itself."""
            return bytes(blocks[i] ^ key[i % 16] ^ iv[i % 16] for i in range(len(blocks)))

        cbc_decrypt = cbc_encrypt
