"""A PN532 on a pty, for any client: our driver, libnfc, QEMU. Commands: pn532; frames: pn532_frame.

Both ends of the pty stay open here: without the slave each close by a client would be an error on the master.
"""

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable

from simulator.field import Card, Faults
from simulator.pn532 import Pn532, SyntaxFault
from simulator.pn532_frame import ACK, SYNTAX_ERROR, Decoder, Frame, encode

WAKE_UP = 0x55              # the edges of this byte wake a chip on its UART
READ_BYTES = 4096
BITS_PER_BYTE = 10          # 8N1


class Pn532Chip:
    """The chip at the end of a serial line. A card lies on it between `insert` and `remove`.

    link_path       a symlink to the pty is kept there while the chip lives
    line_bits_per_s delays the answers as a line of that speed does; None: as fast as the pty
    data_bytes_max  see Pn532
    pause           waits that many seconds

    on_left         called when a card was torn away, by the chip's thread

    left   set while no card is in the field, also after a tear
    dead   the line is gone, see `unplug`
    """

    def __init__(
        self,
        link_path: str | os.PathLike[str] | None = None,
        line_bits_per_s: int | None = None,
        data_bytes_max: int = 262,
        pause: Callable[[float], object] = time.sleep,
        on_left: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_left = on_left
        self.left = threading.Event()
        self.left.set()
        self._chip = Pn532(data_bytes_max)
        self._lock = threading.RLock()          # of the chip: the client's thread and ours
        self._byte_s = BITS_PER_BYTE / line_bits_per_s if line_bits_per_s else 0.0
        self._pause = pause
        self._decoder = Decoder()
        self._last_answer = b""
        self._looking = False
        self._until_s: float | None = None      # end of the looking
        self.dead = False                      # nothing is sent any more
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self._link = None if link_path is None else os.fspath(link_path)
        if self._link:
            if os.path.islink(self._link):
                os.unlink(self._link)           # of a chip that was killed
            os.symlink(os.ttyname(self._slave), self._link)
        self.path = self._link or os.ttyname(self._slave)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="pn532", daemon=True)
        self._thread.start()

    @property
    def torn(self) -> bool:
        """The last card left by a tear."""
        return self._chip.torn

    @property
    def error(self) -> Exception | None:
        """Why the last card stopped otherwise than by leaving: its given random numbers were spent."""
        return self._chip.error

    @property
    def active(self) -> bool:
        """A client has activated the card."""
        return self._chip.active

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Lay the card on the antenna."""
        with self._lock:
            if self._chip.card is not None:
                raise ValueError(f"{self.path} holds a card: remove it first")
            self._chip.insert(card, faults or Faults())
            self.left.clear()
        os.write(self._waker, b"i")

    def insert_beside(self, card: Card | None) -> None:
        """Lay a second card beside the first; None: take it away again. `remove` takes both."""
        with self._lock:
            self._chip.second = card

    def remove(self) -> None:
        """Take the card away. An exchange under way ends first; to tear it, use Faults."""
        with self._lock:
            self._chip.remove()
            self.left.set()

    def unplug(self) -> None:
        """The line goes dead, also in the middle of an exchange; `close` follows. From any thread, the chip's too."""
        self.dead = True
        os.write(self._waker, b"q")

    def close(self) -> None:
        """The line is gone: clients see it closed."""
        self.unplug()
        self._thread.join()
        self.remove()
        for handle in (self._wake, self._waker):
            os.close(handle)

    def _serve(self) -> None:
        try:
            self._talk()
        finally:
            if self._link and os.path.islink(self._link):
                os.unlink(self._link)
            for handle in (self._master, self._slave):
                os.close(handle)

    def _talk(self) -> None:
        while True:
            wait_s = None
            if self._looking and self._until_s is not None:
                wait_s = max(self._until_s - time.monotonic(), 0)
            ready, _, _ = select.select([self._master, self._wake], [], [], wait_s)
            if self._wake in ready and b"q" in os.read(self._wake, READ_BYTES):
                return
            if self._master in ready:
                self._received(os.read(self._master, READ_BYTES))
            elif self._looking:
                self._look(over=not ready)

    def _received(self, raw: bytes) -> None:
        with self._lock:
            if self._chip.asleep:
                at = raw.find(WAKE_UP)
                if at < 0:
                    return
                raw = raw[at:]
                self._chip.asleep = False
            for frame in self._decoder.feed(raw):
                self._frame(frame)

    def _frame(self, frame: Frame) -> None:
        if frame.kind == "nack":
            self._send(self._last_answer)
            return
        self._looking = False                   # an ACK aborts the running command, and so does a new one
        if frame.kind == "ack":
            return
        self._send(ACK)
        try:
            answer = self._chip.command(frame.body)
        except SyntaxFault:
            self._send(SYNTAX_ERROR)
            return
        if self._chip.card is None and not self.left.is_set():      # torn by this command
            self.left.set()
            self._on_left()
        if answer is not None:
            self._answer(answer)
            return
        self._looking = True
        look_ms = self._chip.look_ms
        self._until_s = None if look_ms is None else time.monotonic() + look_ms / 1000

    def _look(self, over: bool) -> None:
        with self._lock:
            answer = self._chip.look()
            if answer is None and over:
                answer = self._chip.give_up()
        if answer is not None:
            self._looking = False
            self._answer(answer)

    def _answer(self, body: bytes) -> None:
        self._last_answer = encode(body)
        self._send(self._last_answer)

    def _send(self, raw: bytes) -> None:
        if self.dead:
            return
        if self._byte_s:
            self._pause(len(raw) * self._byte_s)
        os.write(self._master, raw)
