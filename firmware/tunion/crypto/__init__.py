"""The scheme's cryptography: block ciphers, MACs, key derivation. JT/T 978.6."""
