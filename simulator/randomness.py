"""Random numbers for cards: from the machine, or given, so that a vector can be replayed through the whole stack."""

import os
from collections.abc import Callable, Iterable

Random = Callable[[int], bytes]     # a byte count -> that many bytes

system: Random = os.urandom


class RandomSpent(Exception):
    """The given random numbers do not fit what the card asked for. Give more, or other lengths."""


def replay(numbers: Iterable[bytes]) -> Random:
    """Hand out the given numbers in order; raises RandomSpent past the end or where the length is another."""
    left = list(numbers)
    given = len(left)

    def next_number(size: int) -> bytes:
        if not left:
            raise RandomSpent(f"all {given} given random numbers are used: give one for each INITIALIZE and challenge")
        number = left.pop(0)
        if len(number) != size:
            raise RandomSpent(
                f"random number {given - len(left)} has {len(number)} bytes, the card needs {size} at this point"
            )
        return number

    return next_number
