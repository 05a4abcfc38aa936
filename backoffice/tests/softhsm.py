"""SoftHSM2 as the tests' token: each folder of its own, in this process or told to another one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backoffice.keys import token, token_link
from backoffice.keys.token_link import Config

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SO_PIN, PIN = "87654321", "246810"


class SoftHsm:
    """A folder of tokens. Only one such folder is in use in a process at a time."""

    def __init__(self, folder: Path, like: Path | None = None) -> None:
        self.tokens = folder / "tokens"
        self.conf = folder / "softhsm2.conf"
        if like is None:
            self.tokens.mkdir(parents=True)
        else:
            shutil.copytree(like, self.tokens)
        self.conf.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", encoding="utf-8"
        )

    def config(self, label: str = "demo", strict: bool = False) -> Config:
        return Config(MODULE, label, strict=strict)

    def make(self, label: str = "demo", test: bool = True) -> token.Token:
        token.init_token(self.config(label), SO_PIN, PIN, test)
        return self.open(label)

    def open(self, label: str = "demo", strict: bool = False) -> token.Token:
        return token.Token(self.config(label, strict), PIN)

    def forget(self) -> None:
        """The module reads its settings and tokens again; all sessions end, as after a restart of the program."""
        module = token_link._module(MODULE)
        with module.lock:
            module.restart()


@contextmanager
def softhsm(folder: Path, like: Path | None = None) -> Iterator[SoftHsm]:
    """In use within the block; like: with the tokens of another one."""
    before = os.environ.get("SOFTHSM2_CONF")
    hsm = SoftHsm(folder, like)
    os.environ["SOFTHSM2_CONF"] = str(hsm.conf)
    try:
        hsm.forget()
        yield hsm
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
