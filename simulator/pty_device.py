"""A device at the end of serial lines: ptys, one thread, a symlink to each line for clients to open.

Both ends of a pty stay open here: without the slave each close by a client would be an error on the master.
"""

import abc
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Sequence

READ_BYTES = 4096
BITS_PER_BYTE = 10          # 8N1


class PtyDevice(abc.ABC):
    """What a device does with bytes is `received`'s affair; answers leave by `send`. Both run in the device's thread.

    link_paths      one line each; a symlink is kept there while the device lives; None: the pty's own name
    line_bits_per_s delays the answers as a line of that speed does; None: as fast as the pty
    pause           waits that many seconds

    paths  what clients open, in the order of `link_paths`
    dead   the lines are gone, see `unplug`
    """

    def __init__(
        self,
        link_paths: Sequence[str | os.PathLike[str] | None] = (None,),
        line_bits_per_s: int | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.lock = threading.RLock()           # of the device: the client's thread and ours
        self._byte_s = BITS_PER_BYTE / line_bits_per_s if line_bits_per_s else 0.0
        self._pause = pause
        self.dead = False
        self.deaf = False                       # hears nothing, says nothing: hung, or without power
        self._masters: list[int] = []
        self._slaves: list[int] = []
        self._links: list[str] = []
        self.paths: list[str] = []
        for link_path in link_paths:
            self._make_line(link_path)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__, daemon=True)
        self._thread.start()

    @property
    def path(self) -> str:
        """The first line's."""
        return self.paths[0]

    @abc.abstractmethod
    def received(self, line: int, raw: bytes) -> None:
        """Bytes have come on line number `line`. Called with `lock` held."""

    def gone(self) -> None:  # noqa: B027 - a device may have nothing to do then
        """The lines have been closed."""

    def send(self, raw: bytes, line: int = 0) -> None:
        """To the client. Dropped where the device is dead or deaf."""
        if self.dead or self.deaf:
            return
        if self._byte_s:
            self._pause(len(raw) * self._byte_s)
        os.write(self._masters[line], raw)

    def unplug(self) -> None:
        """The lines go dead, also in the middle of an exchange; `close` follows. From any thread, the device's too."""
        self.dead = True
        os.write(self._waker, b"q")

    def close(self) -> None:
        """The lines are gone: clients see them closed."""
        self.unplug()
        self._thread.join()
        self.gone()
        for handle in (self._wake, self._waker):
            os.close(handle)

    def _make_line(self, link_path: str | os.PathLike[str] | None) -> None:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        self._masters.append(master)
        self._slaves.append(slave)
        name = os.ttyname(slave)
        if link_path is not None:
            link = os.fspath(link_path)
            if os.path.islink(link):
                os.unlink(link)                 # of a device that was killed
            os.symlink(name, link)
            self._links.append(link)
            name = link
        self.paths.append(name)

    def _serve(self) -> None:
        try:
            self._talk()
        finally:
            for link in self._links:
                if os.path.islink(link):
                    os.unlink(link)
            for handle in self._masters + self._slaves:
                os.close(handle)

    def _talk(self) -> None:
        while True:
            ready, _, _ = select.select([*self._masters, self._wake], [], [])
            if self._wake in ready and b"q" in os.read(self._wake, READ_BYTES):
                return
            for line, master in enumerate(self._masters):
                if master in ready:
                    raw = os.read(master, READ_BYTES)
                    with self.lock:
                        if not self.deaf:
                            self.received(line, raw)
