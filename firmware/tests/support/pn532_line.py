"""A line with a PN532 at its end that says what the test wrote down."""

ACK = b"\x00\x00\xff\x00\xff\x00"
NACK = b"\x00\x00\xff\xff\x00\x00"


def frame(content):
    """A frame from the chip, extended where it must be."""
    body = b"\xd5" + content
    if len(body) < 256:
        head = bytes((len(body), -len(body) & 255))
    else:
        size = len(body).to_bytes(2, "big")
        head = b"\xff\xff" + size + bytes((-sum(size) & 255,))
    return b"\x00\x00\xff" + head + body + bytes((-sum(body) & 255, 0))


class ChipLine:
    """A line with a chip that answers each write with the next of `answers`, `piece` bytes at a time.

    Waiting for bytes that do not come takes time on the clock.
    """

    def __init__(self, clock, answers, piece=300, before=b""):
        self.clock = clock
        self.answers = list(answers)
        self.piece = piece
        self.written = []
        self._coming = before

    def open(self):
        self._coming = b""

    def write(self, data):
        self.written.append(bytes(data))
        if self.answers:
            self._coming += self.answers.pop(0)

    def read_into(self, buffer, wait_ms):
        if not len(buffer):
            raise AssertionError("a read into nothing never ends")
        count = min(len(buffer), len(self._coming), self.piece)
        buffer[:count] = self._coming[:count]
        self._coming = self._coming[count:]
        if not count:
            self.clock.advance_ms(wait_ms)
        return count
