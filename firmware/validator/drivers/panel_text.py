"""The Panel port as lines of text: one JSON object a message, for rigs, the desk and whoever reads along.

    {"at_ms": 5120, "what": "paid", "zh": "...", "en": "...", "beep": "one", "led": "green", "fare_fen": 200, ...}

Words, beeps and lamp are those of validator/messages.py. `reason` (tunion.wire.reason) goes out by name; amounts stay
fen in the fields and are yuan in the sentences.
"""

import json

from tunion.wire import reason
from validator import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.ports import Clock


class PanelText:
    """`write` takes one line at a time, newline included; it should not keep it back.

    dumps  one value to JSON; by default json.dumps, which writes Chinese as it is on MicroPython and escaped on CPython
    """

    def __init__(
        self, write: "Callable[[str], object]", clock: "Clock", dumps: "Callable[[Any], str]" = json.dumps
    ) -> None:
        self._write = write
        self._clock = clock
        self._dumps = dumps

    def show(self, what: str, **details: "int | str") -> None:
        """One message. Raises KeyError for a message or a detail that is unknown: our bug."""
        said = messages.message(what, details)
        if "reason" in details:
            details["reason"] = reason.name(int(details["reason"]))
        fields: list[tuple[str, int | str]] = [("at_ms", self._clock.ticks_ms()), ("what", what)]
        fields += [("zh", said.zh), ("en", said.en), ("beep", said.beep), ("led", said.led)]
        fields += sorted(details.items())
        pairs = ["%s: %s" % (self._dumps(name), self._dumps(value)) for name, value in fields]
        self._write("{%s}\n" % ", ".join(pairs))
