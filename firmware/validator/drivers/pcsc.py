"""PC/SC readers: a contactless reader, or a slot that holds a SAM.

Knows handles, states and return codes; has never heard of a purse. How the library is called is the board's affair.
Source: PC/SC part 5, pcsc-lite 1.9 winscard.h.

Every slot has a context of its own: what one loses, the other keeps. A wait in the daemon blocks the interpreter,
at most `wait_ms`; an exchange has no such limit in PC/SC and ends when the reader's own waiting time is over.
"""

from tunion.card.refusals import LinkLost
from tunion.compat import const
from validator.ports import ReaderLost, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Pcsc(Protocol):
        """The PC/SC library. Each call answers its return code, and behind it what counts where that code is 0."""

        def establish(self, scope: int) -> "tuple[int, int]":
            """Return code, context."""

        def release(self, context: int) -> int: ...

        def status_change(self, context: int, name: str, known: int, wait_ms: int) -> "tuple[int, int]":
            """Return code, event state of the reader `name`."""

        def connect(self, context: int, name: str, share: int, protocols: int) -> "tuple[int, int, int]":
            """Return code, card, protocol."""

        def transmit(self, card: int, protocol: int, apdu: "bytes | memoryview") -> "tuple[int, bytes]":
            """Return code, answer."""

        def disconnect(self, card: int, disposition: int) -> int: ...


_SCOPE_SYSTEM = const(2)
_SHARE_EXCLUSIVE = const(1)
_PROTOCOL_T0 = const(1)
_PROTOCOLS = const(3)  # T=0 or T=1
_UNPOWER = const(2)

_STATE_CHANGED = const(0x02)
_STATE_GONE = const(0x0D)  # ignore, unknown, unavailable: the reader itself
_STATE_PRESENT = const(0x20)
_STATE_MUTE = const(0x200)

_STATUS_BYTES = const(2)

_CARD_LOST = (
    0x8010000C,  # no smart card
    0x8010000F,  # protocol mismatch: no ATR that makes sense
    0x80100016,  # not transacted: the exchange broke off
    0x8010002F,  # data lost on the way
    0x80100066,  # unresponsive
    0x80100067,  # unpowered
    0x80100068,  # reset by someone else: nothing that was selected is selected still
    0x80100069,  # removed
)
_TIMEOUT = const(0x8010000A)
_SHARING_VIOLATION = const(0x8010000B)
_UNKNOWN_READER = const(0x80100009)
_READER_UNAVAILABLE = const(0x80100017)
_CURES = {
    _SHARING_VIOLATION: "another program holds the card: stop it",
    _UNKNOWN_READER: "no reader of that name: plug it in, or correct the name",
    _READER_UNAVAILABLE: "the reader is gone: plug it in",
    0x8010001D: "pcscd does not run: start it",
    0x8010001E: "pcscd was stopped: start it",
    0x8010002E: "pcscd has no reader: plug it in",
    0x80100013: "pcscd died: start it",
    0x80100003: "pcscd was started anew: open the reader again",
}
_CURE_ELSE = "see the pcscd log"

_GET_UID = b"\xff\xca\x00\x00\x00"  # answered by the reader, PC/SC part 3
_UID_BYTES_MAX = const(10)


class PcscSlot:
    """One slot of a reader, by the name that pcscd gives it."""

    def __init__(self, pcsc: "Pcsc", name: str) -> None:
        self._pcsc = pcsc
        self._name = name
        self._context: "int | None" = None
        self._card: "int | None" = None
        self._protocol = 0
        self._seen = 0  # event state at the last look
        self._insertion = 0  # pcscd counts cards put in and taken out

    def open(self) -> None:
        """A new context, and the reader found in it. Raises ReaderLost."""
        self.close()
        rc, context = self._pcsc.establish(_SCOPE_SYSTEM)
        self._must(rc)
        self._context = context
        self._look(0, 0)

    def close(self) -> None:
        """Let card and context go, so that other programs may have them."""
        self._drop_card()
        if self._context is not None:
            self._pcsc.release(self._context)  # its answer tells only whether the daemon still knew us
            self._context = None

    def activate(self, wait_ms: int) -> bool:
        """Whether a card is in the slot and powered; waits at most `wait_ms` for one. Raises ReaderLost.

        The card that was active is powered off first, so it starts afresh too. Exclusive: while we have a card,
        nobody else can select, reset or debit it.
        """
        self._drop_card()
        state = self._look(0, 0)
        if not _usable(state):
            state = self._look(state, wait_ms)
        if not _usable(state):
            return False
        rc, card, protocol = self._pcsc.connect(self._opened(), self._name, _SHARE_EXCLUSIVE, _PROTOCOLS)
        if rc & 0xFFFFFFFF in _CARD_LOST:
            self._look(state, wait_ms)  # it does not answer: wait for it to move, not for the caller to spin
            return False
        self._must(rc)
        self._card = card
        self._protocol = protocol
        self._seen = self._look(0, 0)  # again: pcscd shows a card a moment before it has counted it
        self._insertion = self._seen >> 16
        return True

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its whole answer. Raises LinkLost, ReaderLost. `wait_ms` is the reader's affair, see above."""
        if self._card is None:
            raise LinkLost("no card is active in %s" % self._name)
        command: bytes | memoryview = apdu
        if self._protocol == _PROTOCOL_T0 and len(apdu) > 5 and len(apdu) == apdu[4] + 6:
            command = memoryview(apdu)[:-1]  # T=0 has no Le behind data; the card answers 61xx, ISO 7816-3
        rc, answer = self._pcsc.transmit(self._card, self._protocol, command)
        self._must(rc)
        if len(answer) < _STATUS_BYTES:
            raise LinkLost("PC/SC reader %s brought no status word" % self._name)  # vpcd calls a torn card a success
        return answer

    def removed(self, wait_ms: int) -> bool:
        """The card of the last activation has left; waits at most `wait_ms`. Raises ReaderLost."""
        if self._card is None:
            return True
        self._seen = self._look(self._seen, wait_ms)
        if self._seen & _STATE_PRESENT:
            if self._seen >> 16 == self._insertion:
                return False
            if self._still_answers():
                self._insertion = self._seen >> 16
                return False
        self._drop_card()
        return True

    def _still_answers(self) -> bool:
        """Our handle is that of the card in the slot: it was counted late, not changed."""
        try:
            self.transceive(_GET_UID, 0)
        except LinkLost:
            return False
        return True

    def _look(self, known: int, wait_ms: int) -> int:
        """The event state; waits at most `wait_ms` for one that differs from `known` (0: no wait)."""
        rc, state = self._pcsc.status_change(self._opened(), self._name, known, wait_ms)
        if rc & 0xFFFFFFFF == _TIMEOUT:
            return known
        self._must(rc)
        state &= ~_STATE_CHANGED
        if state & _STATE_GONE:
            self._lost(_READER_UNAVAILABLE)
        return state

    def _opened(self) -> int:
        if self._context is None:
            raise ReaderLost("PC/SC reader %s is closed: open it" % self._name)
        return self._context

    def _drop_card(self) -> None:
        if self._card is not None:
            self._pcsc.disconnect(self._card, _UNPOWER)  # what is gone already will be noticed by the next call
            self._card = None

    def _must(self, rc: int) -> None:
        rc &= 0xFFFFFFFF
        if rc in _CARD_LOST:
            raise LinkLost("PC/SC reader %s lost the card (0x%08X)" % (self._name, rc))
        if rc:
            self._lost(rc)

    def _lost(self, rc: int) -> None:
        raise ReaderLost("PC/SC reader %s failed (0x%08X): %s" % (self._name, rc, _CURES.get(rc, _CURE_ELSE)))


class PcscReader(PcscSlot):
    """The Reader port over a contactless PC/SC reader."""

    def poll(self, wait_ms: int) -> "Target | None":
        """A card in the field, activated afresh; None: none within `wait_ms`. Raises ReaderLost."""
        if not self.activate(wait_ms):
            return None
        try:
            answer = self.transceive(_GET_UID, wait_ms)
        except LinkLost:  # in and out again
            return None
        known = answer[-2:] == b"\x90\x00" and len(answer) <= _UID_BYTES_MAX + 2
        return Target(answer[:-2] if known else b"")  # not every reader tells


def _usable(state: int) -> bool:
    return state & (_STATE_PRESENT | _STATE_MUTE) == _STATE_PRESENT
