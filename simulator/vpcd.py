"""The card side of the virtual PC/SC reader: a TCP client that is a card in its slot.

Messages have a 2-byte big-endian length. One byte is control, anything else an APDU. Connecting inserts the card,
closing removes it. The protocol is vsmartcard's; the delays it is known for are cured here.
"""

import contextlib
import select
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
LOOK = struct.pack(">HB", 1, GET_ATR)       # how the driver asks whether a card is there
SEEN_S = 2                  # a reader that lives looks every 0.4 s
NOTICED_S = 1.5             # a reader that lives powers a card within 0.5 s
LOOKS_MAX = 3               # the second finds the slot empty; one more for a client that reconnects in between


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
        self._noticed = threading.Event()           # powered, or left already
        self._pull: socket.socket | None = None     # a byte into it takes the card out
        self._thread: threading.Thread | None = None

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Put the card in; raises ReaderGone where no reader listens.

        A client that lets go of the last card in the moment that it leaves makes pcscd 1.9 forget that the slot was
        full; it never powers the next one. So a card that is not noticed is taken out and put in again, once.
        """
        if not self.left.is_set():
            raise ValueError(f"slot {self.port} holds a card: remove it first")
        faults = faults or Faults()
        self._put(card, faults)
        if not self._noticed.wait(NOTICED_S):
            self.remove()
            self._put(card, faults)

    def _put(self, card: Card, faults: Faults) -> None:
        self._join()
        try:
            link = _connected(self.port)
        except OSError as error:
            raise ReaderGone(
                f"nothing listens on port {self.port} ({error.strerror or error}): "
                "start pcscd with its virtual reader first"
            ) from error
        pulled, self._pull = socket.socketpair()
        self.left.clear()
        self._noticed.clear()
        self.torn, self.error = False, None
        self._thread = threading.Thread(
            target=self._serve, args=(link, pulled, card, faults), name=f"vpcd-{self.port}", daemon=True
        )
        self._thread.start()

    def remove(self) -> None:
        """Take the card out, whatever it is doing; no answer of it arrives afterwards. Nothing in it: no effect.

        Returns when the reader has looked and seen the slot empty. Else it would take the next card for this one
        and never power it.
        """
        if self._pull is not None and not self.left.is_set():
            with contextlib.suppress(OSError):      # it is leaving just now
                self._pull.send(b"x")
        self._join()

    def _join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None
            if self._pull:
                self._pull.close()
                self._pull = None

    def _serve(self, link: socket.socket, pulled: socket.socket, card: Card, faults: Faults) -> None:
        try:
            while True:
                answer = self._answer(_receive(link, pulled), card, faults)
                if select.select([pulled], [], [], 0)[0]:
                    break
                if answer is not None:
                    link.sendall(struct.pack(">H", len(answer)) + answer)       # in one piece: see _exactly
        except Torn:
            self.torn = True
        except (RandomSpent, NotPowered) as error:
            self.error = error
        except (EOFError, OSError):
            pass                    # removed, or the reader went away: `left` says so
        finally:
            card.power_off()
            self.powered.clear()
            self.left.set()
            self._noticed.set()
            self._on_left()
            pulled.close()
            _seen_empty(link, self.port)

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
            self._noticed.set()
        return None


def _connected(port: int) -> socket.socket:
    link = socket.create_connection((HOST, port), timeout=CONNECT_S)
    link.settimeout(None)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _seen_empty(link: socket.socket, port: int) -> None:
    """Close our side and wait until the reader has looked at the slot and found it empty.

    The driver drops the connection at the first message it gets no answer to. If that was its look (it asks for the
    ATR), it has seen it. If it was an APDU it has not, so a connection that never answers is there for the next look.
    A reader that is gone sees nothing any more, and one that hangs is not waited for.
    """
    with contextlib.suppress(OSError):
        for _ in range(LOOKS_MAX):
            if _last_words(link).endswith(LOOK):
                return
            link = _connected(port)
        link.close()


def _last_words(link: socket.socket) -> bytes:
    """End our side, then what the reader still says before it closes its own. Raises OSError when it never does."""
    with link:
        link.settimeout(SEEN_S)
        link.shutdown(socket.SHUT_WR)
        said = b""
        while more := link.recv(4096):
            said += more
        return said


def _receive(link: socket.socket, pulled: socket.socket) -> bytes:
    """One message; raises EOFError when the reader closed or the card was pulled out."""
    return _exactly(link, pulled, struct.unpack(">H", _exactly(link, pulled, 2))[0])


def _exactly(link: socket.socket, pulled: socket.socket, size: int) -> bytes:
    """`size` bytes. vpcd 3.3 sends length and data apart without TCP_NODELAY, so that each APDU waits 44 ms for our
    delayed acknowledgement, unless we ask for a quick one: before every recv, because the kernel clears it again.
    """
    got = b""
    while len(got) < size:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if pulled in select.select([link, pulled], [], [])[0]:
            raise EOFError
        more = link.recv(size - len(got))
        if not more:
            raise EOFError
        got += more
    return got
