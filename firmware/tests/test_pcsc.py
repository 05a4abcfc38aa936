"""The PC/SC driver beside a daemon whose answers are set here; on a real one: simulator/tests/test_reader_contract."""

import unittest

from tunion.compat import const
from validator.drivers.pcsc import PcscReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

PRESENT = const(0x20)
EMPTY = const(0x10)
REMOVED = const(0x80100069)


class Daemon:
    """One reader: what it shows, how often it has counted, and which handle is that of the card in it."""

    def __init__(self) -> None:
        self.shows = EMPTY
        self.counted = 0
        self.handle = 0

    def establish(self, scope: int) -> "tuple[int, int]":
        return 0, 1

    def status_change(self, context: int, name: str, known: int, wait_ms: int) -> "tuple[int, int]":
        return 0, self.counted << 16 | self.shows

    def connect(self, context: int, name: str, share: int, protocols: int) -> "tuple[int, int, int]":
        return 0, self.handle, 2

    def transmit(self, card: int, protocol: int, apdu: "Bytes") -> "tuple[int, bytes]":
        return (0, b"\x01\x02\x03\x04\x90\x00") if card == self.handle else (REMOVED, b"")

    def disconnect(self, card: int, how: int) -> int:
        return 0

    def release(self, context: int) -> int:
        return 0


class Removal(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon()
        self.reader = PcscReader(self.daemon, "here")
        self.reader.open()
        self.daemon.shows, self.daemon.handle = PRESENT, 7
        self.assertIsNotNone(self.reader.poll(0))

    def test_a_card_that_is_counted_only_after_it_was_shown_stays(self) -> None:
        """pcscd 1.9 sets the state first and counts later; a tap came in between. Seen under load, 2026-11."""
        self.daemon.counted = 1
        self.assertFalse(self.reader.removed(0))
        self.assertFalse(self.reader.removed(0))

    def test_a_card_that_was_changed_between_two_looks_has_left(self) -> None:
        self.daemon.counted, self.daemon.handle = 2, 8
        self.assertTrue(self.reader.removed(0))

    def test_an_empty_slot_has_no_card(self) -> None:
        self.daemon.counted, self.daemon.shows = 1, EMPTY
        self.assertTrue(self.reader.removed(0))


if __name__ == "__main__":
    unittest.main()
