"""What whoever watches a board may tell it, and the turn in which it is done: boards/pc/console.py lists the words."""

import json
import sys

from validator.ports import FlashFault
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.app import Validator


class Orders:
    """A validator and its orders. `figures()` answers `stats`."""

    def __init__(self, validator: "Validator", figures: "Callable[[], dict[str, Any]]") -> None:
        self._validator = validator
        self._figures = figures
        self._draining = False

    @property
    def reboot(self) -> bool:
        """The office wants it to start anew."""
        return self._validator.commands.reboot

    def obey(self, command: bytes) -> None:
        """One word; none is none."""
        if command == b"grey":
            say("grey", claims=give_up(self._validator))
        elif command == b"drain":
            self._draining = True
        elif command == b"stats":
            say("stats", **self._figures())
        elif command:
            say("unknown", known="grey drain stats")

    def turn(self) -> int:
        """As Validator.step."""
        self._validator.sync.hurry = self._draining
        wait_ms = self._validator.step()
        if self._draining and self._validator.sync.is_drained():
            self._draining = False
            say("drained")
        return wait_ms


def give_up(validator: "Validator") -> int:
    """End of the shift; -1 where the flash does not let us."""
    try:
        return validator.give_up_open_claims()
    except (FlashFault, JournalFull):
        return -1


def say(what: str, **details: "Any") -> None:
    """A line of our own among the panel's."""
    details["what"] = what
    sys.stdout.write(json.dumps(details) + "\n")
