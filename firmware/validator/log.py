"""What happened lately, in few words, for who looks for a fault from afar. In RAM, bounded, overwritten when full.

A line is the time, a word of ours and a number, so no card number and no key can get into it.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import is_int
from tunion.wire import sync as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Clock

LOG_BYTES = const(2048)  # the last 80 lines or so
PIECE_BYTES_MAX = const(512)  # in one upload, beside its records
_WORD_MAX = const(16)
_NONE = const(-1)


class Log:
    """`note` what happens; `begin` to send it as it stands, `piece` by piece, as far as the office says it has it."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._ring = bytearray(LOG_BYTES)
        self._end = 0  # bytes ever written
        self._frozen = b""  # what is being sent
        self._crc = 0
        self._id = _NONE  # of the command that asked for it
        self._offset = 0
        self._moved = False  # the office has taken the last piece

    def note(self, word: str, number: int = 0) -> None:
        """One line. `word` is a constant of ours, never a value that was read."""
        for byte in ("%d %s %d\n" % (self._clock.now_s(), word[:_WORD_MAX], number)).encode():
            self._ring[self._end % LOG_BYTES] = byte
            self._end += 1

    def text(self) -> bytes:
        """Whole lines, oldest first."""
        if self._end <= LOG_BYTES:
            return bytes(self._ring[: self._end])
        at = self._end % LOG_BYTES
        whole = bytes(self._ring[at:]) + bytes(self._ring[:at])
        return whole[whole.find(b"\n") + 1 :]

    @property
    def sending(self) -> int:
        """The command whose log is being sent, -1: none."""
        return self._id

    def begin(self, command_id: int) -> None:
        """Send the log as it stands now. Again for the same command: goes on."""
        if command_id == self._id:
            return
        self._id = command_id
        self._frozen = self.text()
        self._crc = crc32(self._frozen)
        self._offset = 0
        self._moved = True

    def piece(self) -> "list[Any]":
        """What the next upload carries of it."""
        end = self._offset + PIECE_BYTES_MAX
        return [self._id, self._crc, len(self._frozen), self._offset, self._frozen[self._offset : end]]

    def heard(self, want: "list[Any]") -> bool:
        """The office says where it stands; True when it has all. Then nothing is being sent any more."""
        self._moved = False
        for wish in want:
            if not isinstance(wish, list) or len(wish) != 3 or wish[:2] != [wire.LOG, self._id]:
                continue
            if not is_int(wish[2]) or not 0 <= wish[2] <= len(self._frozen):
                continue
            self._moved = wish[2] != self._offset
            self._offset = wish[2]
            if self._offset == len(self._frozen):
                self._id = _NONE
                self._frozen = b""
                return True
        return False

    def progressed(self) -> bool:
        """A piece may go at once: the first, or the last one was taken."""
        return self._id != _NONE and self._moved
