"""What whoever watches a board may tell it, and the turn in which it is done: boards/pc/console.py lists the words."""

import json
import sys

from validator import duty_words
from validator.ports import FlashFault
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.app import Validator
    from validator.ports import DriverPanel


class Orders:
    """A validator and its orders, the driver's keys among them. `figures()` answers `stats`."""

    def __init__(
        self, validator: "Validator", figures: "Callable[[], dict[str, Any]]", driver_panel: "DriverPanel"
    ) -> None:
        self._validator = validator
        self._figures = figures
        self._driver_panel = driver_panel
        self._told = -1  # the duty's `changed` when its panel was shown
        self._draining = False

    @property
    def reboot(self) -> bool:
        """The validator is to start anew."""
        return self._validator.reboot

    def obey(self, command: bytes) -> None:
        """One word; none is none."""
        if command == b"grey":
            say("grey", claims=give_up(self._validator))
        elif command == b"drain":
            self._draining = True
        elif command == b"stats":
            say("stats", **self._figures())
        elif command:
            driver_said(self._validator, command)
            self._told = -1

    def turn(self) -> int:
        """As Validator.step."""
        validator = self._validator
        validator.sync.hurry = self._draining
        wait_ms = validator.step()
        if self._told != validator.duty.changed:
            self._told = validator.duty.changed
            self._driver_panel.show(validator.duty)
        if self._draining and validator.sync.is_drained():
            self._draining = False
            say("drained")
        return wait_ms


def driver_said(validator: "Validator", command: bytes) -> None:
    """A driver's key; a word that is none is answered with those that are."""
    try:
        words = command.decode().split()
    except UnicodeError:
        words = []
    word, zh, en = duty_words.said(validator.duty, words)
    if word == "unknown":
        say("unknown", known="grey drain stats login logout line direction stop riders duty help", zh=zh, en=en)
    else:
        say("driver", word=word, zh=zh, en=en)


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
