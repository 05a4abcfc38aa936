"""A card or PSAM on a PC/SC reader as backoffice.cards.line.Line, for the programs that write and read them.

Each line has a context of its own, so lines on several readers work side by side, a thread each. A wait is the
daemon's event, asked for in slices, so that Ctrl-C is heard.
"""

import time
from types import TracebackType
from typing import Self

from backoffice.cards.line import CardGone
from boards.desk.pcsc import Pyscard

WAIT_S = 30                 # for a card to be put in; a person stands there
SLICE_MS = 500              # of a wait: how late Ctrl-C is heard
GET_RESPONSE_MAX = 8        # in a row: 2 KB, longer than any answer of a card or PSAM here

SCOPE_SYSTEM = 2
EXCLUSIVE, SHARED = 1, 2
T0 = 1
PROTOCOLS = 3               # T=0 or T=1
LEAVE, UNPOWER = 0, 2       # a card that we share is not taken from the others

STATE_CHANGED, STATE_GONE, STATE_EMPTY, STATE_PRESENT, STATE_MUTE = 0x02, 0x0D, 0x10, 0x20, 0x200

TIMEOUT = 0x8010000A
NO_READERS = 0x8010002E
UNKNOWN_READER = 0x80100009
SHARING_VIOLATION = 0x8010000B
# The card's own: another one may be put in at once
CARD_CODES = {
    0x8010000C: "it was taken out",
    0x8010000F: "its answer to reset makes no sense: clean it, or try another one",
    0x80100016: "it was taken out while it worked",
    0x8010002F: "it was taken out while it worked",
    0x80100066: "it does not answer: turn it round, or try another one",
    0x80100067: "it has no power",
    0x80100068: "another program has reset it: end that one",
    0x80100069: "it was taken out",
}
CURES = {
    0x80100003: "pcscd was started anew: try again",
    UNKNOWN_READER: "no reader of that name",
    SHARING_VIOLATION: "another program holds the card: end it",
    0x80100013: "pcscd died: start it",
    0x80100017: "the reader is gone: plug it in",
    0x8010001D: "pcscd does not run: start it",
    0x8010001E: "pcscd was stopped: start it",
    NO_READERS: "pcscd has no reader: plug one in",
    # Also what a daemon that dies in the middle of a wait was seen to leave behind, pcsc-lite 1.9.9
    0x8010006A: "pcscd refuses this user, or died: run it as one that it accepts, or start it",
}
CURE_ELSE = "pcscd failed: see its log, and start it anew"


class PcscLine:
    """The card on one reader. What was lost is had again by `power_on`, also where pcscd was started anew.

    reader     as pcscd names it
    wait_s     for a card, at each power_on
    exclusive  while we have the card, nobody else can select, reset or debit it
    """

    def __init__(
        self, reader: str, wait_s: float = WAIT_S, exclusive: bool = True, library: Pyscard | None = None
    ) -> None:
        self.reader = reader
        self._wait_s = wait_s
        self._share = EXCLUSIVE if exclusive else SHARED
        self._library = library or Pyscard()
        self._context: int | None = None
        self._card: int | None = None
        self._protocol = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def power_on(self) -> bytes:
        """Reset the card: its ATR. Waits for one where there is none. Raises CardGone."""
        if self._card is None:
            self._connect()
        assert self._card is not None
        rc, self._protocol = self._library.reset(self._card, self._share, PROTOCOLS)
        self._must(rc)
        rc, atr = self._library.atr(self._card)
        self._must(rc)
        return atr

    def transceive(self, apdu: bytes) -> bytes:
        """One command and its whole answer. Raises CardGone.

        Of a PSAM with T=0: without Le behind data, with GET RESPONSE after 61xx, and again after 6Cxx.
        """
        if self._protocol != T0:
            return self._transmit(apdu)
        if len(apdu) > 5 and len(apdu) == apdu[4] + 6:
            apdu = apdu[:-1]
        answer = self._transmit(apdu)
        if answer[0] == 0x6C and len(answer) == 2 and len(apdu) <= 5:       # a command with data is never sent twice
            answer = self._transmit(apdu[:4] + answer[-1:])
        body = b""
        for _ in range(GET_RESPONSE_MAX):
            if answer[-2] != 0x61:
                break
            body += answer[:-2]
            answer = self._transmit(b"\x00\xc0\x00\x00" + answer[-1:])
        return body + answer

    def power_off(self) -> None:
        """Let the card go; it may be taken out."""
        if self._card is not None:
            self._library.disconnect(self._card, UNPOWER if self._share == EXCLUSIVE else LEAVE)
            self._card = None

    def removed(self, wait_s: float) -> bool:
        """Whether the slot is empty, within `wait_s`: so that the next card is not taken for this one. CardGone."""
        return self._waited(STATE_EMPTY, wait_s)

    def present(self, wait_s: float) -> bool:
        """Whether a card is in the slot, within `wait_s`. Raises CardGone."""
        return self._waited(STATE_PRESENT, wait_s)

    def close(self) -> None:
        """Let card and daemon go."""
        self.power_off()
        if self._context is not None:
            self._library.release(self._context)
            self._context = None

    # --- what pcscd says

    def _connect(self) -> None:
        if not self.present(self._wait_s):
            raise CardGone(f"{self.reader}: no card after {self._wait_s:g} s: put one in, and try again")
        rc, card, self._protocol = self._library.connect(self._opened(), self.reader, self._share, PROTOCOLS)
        self._must(rc)
        self._card = card

    def _opened(self) -> int:
        if self._context is None:
            rc, context = self._library.establish(SCOPE_SYSTEM)
            self._must(rc)
            self._context = context
        return self._context

    def _waited(self, wanted: int, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        state = self._look(0, 0)
        while not state & wanted:
            left_ms = round((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                return False
            state = self._look(state, min(left_ms, SLICE_MS))
        if state & wanted & STATE_PRESENT and state & STATE_MUTE:
            raise CardGone(f"{self.reader}: the card does not answer: turn it round, or try another one")
        return True

    def _look(self, known: int, wait_ms: int) -> int:
        """The reader's state; waits at most `wait_ms` for one that differs from `known`."""
        rc, state = self._library.status_change(self._opened(), self.reader, known, wait_ms)
        if rc & 0xFFFFFFFF == TIMEOUT:
            return known
        self._must(rc)
        if state & STATE_GONE:
            self._must(UNKNOWN_READER)
        return state & ~STATE_CHANGED

    def _transmit(self, apdu: bytes) -> bytes:
        if self._card is None:
            raise CardGone(f"{self.reader}: no card has power: power_on first")
        rc, answer = self._library.transmit(self._card, self._protocol, apdu)
        self._must(rc)
        if len(answer) < 2:         # the virtual reader calls a torn card a success
            self._must(0x80100069)
        return answer

    def _must(self, rc: int) -> None:
        """Raises CardGone unless rc is 0. What cannot work any more is let go."""
        rc &= 0xFFFFFFFF
        if not rc:
            return
        self.power_off()
        if rc in CARD_CODES:
            raise CardGone(f"{self.reader}: the card is gone, {CARD_CODES[rc]}")
        cure = CURES.get(rc, CURE_ELSE)
        if rc == UNKNOWN_READER:
            others = ", ".join(readers(self._library)) or "none"
            cure = f"{cure}; there are: {others}"
        if rc != SHARING_VIOLATION:
            self.close()
        raise CardGone(f"{self.reader}: {cure} (0x{rc:08X})")


def readers(library: Pyscard | None = None) -> list[str]:
    """The names of all readers. Raises CardGone where no pcscd runs."""
    library = library or Pyscard()
    rc, context = library.establish(SCOPE_SYSTEM)
    if rc:
        raise CardGone(f"{CURES.get(rc & 0xFFFFFFFF, CURE_ELSE)} (0x{rc & 0xFFFFFFFF:08X})")
    try:
        rc, names = library.readers(context)
    finally:
        library.release(context)
    if rc and rc & 0xFFFFFFFF != NO_READERS:
        raise CardGone(f"{CURES.get(rc & 0xFFFFFFFF, CURE_ELSE)} (0x{rc & 0xFFFFFFFF:08X})")
    return names
