"""One block into another, natively where that is possible."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.crypto.xor_plain import xor_block
else:
    try:
        from tunion.crypto.xor_viper import xor_block
    except (ImportError, SyntaxError):  # CPython has no micropython module, the WebAssembly build no viper
        from tunion.crypto.xor_plain import xor_block

__all__ = ("xor_block",)
