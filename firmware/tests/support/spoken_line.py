"""A serial line on which the test speaks, and which it may pull."""

from validator.ports import ReaderLost


class SpokenLine:
    """`say` what arrives next."""

    def __init__(self):
        self.waiting = b""
        self.opened = 0
        self.unplugged = False

    def say(self, data):
        self.waiting += data

    def open(self):
        if self.unplugged:
            raise ReaderLost("unplugged")
        self.opened += 1
        self.waiting = b""

    def read_into(self, buffer, wait_ms):
        if self.unplugged:
            raise ReaderLost("unplugged")
        count = min(len(buffer), len(self.waiting))
        buffer[:count] = self.waiting[:count]
        self.waiting = self.waiting[count:]
        return count
