"""AES-128-CBC in the shape that tunion.wire.soft_sam takes, under the interpreter at hand."""

try:
    from boards.unix.aes import cbc_decrypt, cbc_encrypt
except ImportError:  # CPython has no cryptolib
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def cbc_encrypt(key, iv, blocks):
        worker = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return worker.update(blocks) + worker.finalize()

    def cbc_decrypt(key, iv, blocks):
        worker = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        return worker.update(blocks) + worker.finalize()
