"""The card side of the virtual PC/SC reader: a TCP client that is a card in its slot.

Messages have a 2-byte big-endian length. One byte is control, anything else an APDU. Connecting inserts the card,
closing removes it. The protocol is vsmartcard's; the delays it is known for are cured here.
"""

import socket
import struct
import threading
from collections.abc import Callable

from simulator.apdu import status
from simulator.card import NotPowered
from simulator.field import Card, Faults, Torn
from simulator.randomness import RandomSpent
from simulator.sw import CONDITIONS, OK

HOST = "127.0.0.1"
PORT = 35963                # the driver's own default; the second slot is the next port
POWER_OFF, POWER_ON, RESET, GET_ATR = 0, 1, 2, 4
GET_UID = b"\xff\xca\x00\x00"     # PC/SC part 3: answered by the reader, not the card
CONNECT_S = 5


class ReaderGone(Exception):
    """Nothing listens where the virtual reader should. Start pcscd with its virtual reader first."""


class VpcdSlot:
    """One slot of the virtual reader. A card sits in it between `insert` and `remove`, served by its own thread.

    powered  set while the reader has the card powered
    left     set while no card is in the slot, also after a tear or when the reader went away
    torn     the last card left by a tear
    error    why the last card stopped otherwise than by leaving: its given random numbers were spent
    on_left  called, by the slot's thread, when `left` is set
    """

    def __init__(self, port: int = PORT, on_left: Callable[[], object] = lambda: None) -> None:
        self.port = port
        self._on_left = on_left
        self.powered = threading.Event()
        self.left = threading.Event()
        self.left.set()
        self.torn = False
        self.error: Exception | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Put the card in; raises ReaderGone where no reader listens."""
        if not self.left.is_set():
            raise ValueError(f"slot {self.port} holds a card: remove it first")
        self._join()
        try:
            link = socket.create_connection((HOST, self.port), timeout=CONNECT_S)
        except OSError as error:
            raise ReaderGone(
                f"nothing listens on port {self.port} ({error.strerror or error}): "
                "start pcscd with its virtual reader first"
            ) from error
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left.clear()
        self.torn, self.error, self._socket = False, None, link
        self._thread = threading.Thread(
            target=self._serve, args=(link, card, faults or Faults()), name=f"vpcd-{self.port}", daemon=True
        )
        self._thread.start()

    def remove(self) -> None:
        """Take the card out, whatever it is doing. No answer of it arrives afterwards. Nothing in it: no effect."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:         # the reader closed it before us, or the card was torn
                self._socket = None
        self._join()

    def _join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def _serve(self, link: socket.socket, card: Card, faults: Faults) -> None:
        try:
            while True:
                answer = self._answer(_receive(link), card, faults)
                if answer is not None:
                    link.sendall(struct.pack(">H", len(answer)) + answer)       # in one piece: see _receive
        except Torn:
            self.torn = True
        except (RandomSpent, NotPowered) as error:
            self.error = error
        except (EOFError, OSError):
            pass                    # removed, or the reader went away: `left` says so
        finally:
            link.close()
            card.power_off()
            self.powered.clear()
            self.left.set()
            self._on_left()

    def _answer(self, message: bytes, card: Card, faults: Faults) -> bytes | None:
        if len(message) != 1:
            if message[:4] == GET_UID:
                return card.uid + status(OK) if card.uid else status(CONDITIONS)
            return faults.exchange(card, message)
        control = message[0]
        if control == GET_ATR:
            return card.atr
        if control in (POWER_OFF, RESET):
            card.power_off()
            self.powered.clear()
        if control in (POWER_ON, RESET):
            card.power_on()
            self.powered.set()
        return None


def _receive(link: socket.socket) -> bytes:
    """One message; raises EOFError when the reader closed."""
    return _exactly(link, struct.unpack(">H", _exactly(link, 2))[0])


def _exactly(link: socket.socket, size: int) -> bytes:
    """`size` bytes. vpcd 3.3 sends length and data apart without TCP_NODELAY, so that each APDU waits 44 ms for our
    delayed acknowledgement, unless we ask for a quick one: before every recv, because the kernel clears it again.
    """
    got = b""
    while len(got) < size:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = link.recv(size - len(got))
        if not more:
            raise EOFError
        got += more
    return got
