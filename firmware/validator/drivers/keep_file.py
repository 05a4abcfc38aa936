"""The Keep port over a file: a few bytes that are replaced whole or not at all."""

import os

from validator.ports import FlashFault

_BYTES_MAX = 256  # a file that is longer is none of ours


class KeepFile:
    """`path` need not exist yet."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> bytes:
        """What was saved last; b"" where nothing was."""
        try:
            with open(self._path, "rb") as file:
                return bytes(file.read(_BYTES_MAX))
        except OSError:
            return b""

    def save(self, blob: bytes) -> None:
        """Durable on return: written beside, then renamed. Raises FlashFault."""
        beside = self._path + ".new"
        try:
            with open(beside, "wb") as file:
                file.write(blob)
                file.flush()
                if hasattr(os, "fsync"):
                    os.fsync(file.fileno())
            os.rename(beside, self._path)
        except OSError as error:
            raise FlashFault("%s cannot be written (errno %s): check its folder" % (self._path, error.args[0]))
