"""The words of one modem: a map of texts and numbers, all of it data. Checked whole when it is loaded.

Every key, and an invented sample: firmware/docs/modem.md. What is missing, misspelt or cannot be is refused by name.
"""

from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORDS_MAX = const(120)  # characters of one command or answer
_SETUP_MAX = const(16)
_FAILED_MAX = const(8)
_WAIT_MS_MAX = const(180000)
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)

_KEYS = ("about", "speed", "boot_ms", "answer_ms", "escape", "guard_ms", "ok", "failed", "setup", "register", "attach",
         "dial", "hang_up", "restart")  # fmt: skip
_STEP_KEYS = ("send", "until", "wait_ms")
_REGISTER_KEYS = ("ask", "home", "roaming", "refused", "wait_ms")


class Step:
    """One command: what is sent, how the line begins that ends it, how long that may take."""

    def __init__(self, send: str, until: bytes, wait_ms: int) -> None:
        self.send = send
        self.until = until
        self.wait_ms = wait_ms


class ModemProfile:
    """A profile, checked. `attach` and `restart` may be None and "": the modem needs no such command."""

    def __init__(self, values: "dict[str, Any]") -> None:
        """Raises BadInput, naming key and cure."""
        _known("", values, _KEYS)
        self.speed = _number(values, "speed", _SPEEDS[0], _SPEEDS[-1], 115200)
        if self.speed not in _SPEEDS:
            raise BadInput("speed takes one of %s" % ", ".join([str(speed) for speed in _SPEEDS]))
        self.boot_ms = _number(values, "boot_ms", 0, _WAIT_MS_MAX, 10000)  # from power to its first answer
        self.answer_ms = _number(values, "answer_ms", 10, _WAIT_MS_MAX, 500)  # to AT and to a command of the set-up
        self.escape = _text(values, "escape").encode()
        self.guard_ms = _number(values, "guard_ms", 0, 10000, 1000)  # silence before and after it
        self.ok = _text(values, "ok").encode()
        self.failed = _texts(values, "failed", 1, _FAILED_MAX)
        self.setup = [Step(text.decode(), self.ok, self.answer_ms) for text in _texts(values, "setup", 0, _SETUP_MAX)]
        self._read_register(values.get("register"))
        self.attach = self._step(values, "attach") if "attach" in values else None
        self.dial = self._step(values, "dial")
        if "{host}" not in self.dial.send or "{port}" not in self.dial.send:
            raise BadInput("dial.send must name {host} and {port}")
        self.hang_up = self._step(values, "hang_up")
        self.restart = _text(values, "restart") if "restart" in values else ""

    def dials(self, host: str, port: int) -> Step:
        """The command that connects. Raises BadInput for a host that would end the command's quotes."""
        if '"' in host or "\r" in host or "\n" in host:
            raise BadInput("server.address is no address")
        text = self.dial.send.replace("{host}", host).replace("{port}", str(port))
        return Step(text, self.dial.until, self.dial.wait_ms)

    def _read_register(self, values: "Any") -> None:
        if not isinstance(values, dict):
            raise BadInput("register takes a map")
        _known("register.", values, _REGISTER_KEYS)
        self.ask = Step(_text(values, "ask", "register."), self.ok, self.answer_ms)
        self.home = _text(values, "home", "register.").encode()
        self.roaming = _text(values, "roaming", "register.").encode()
        self.refused = _text(values, "refused", "register.").encode()
        self.register_ms = _number(values, "wait_ms", 1000, _WAIT_MS_MAX, 60000, "register.")

    def _step(self, values: "dict[str, Any]", key: str) -> Step:
        found = values.get(key)
        if not isinstance(found, dict):
            raise BadInput("%s takes a map" % key)
        where = key + "."
        _known(where, found, _STEP_KEYS)
        until = found.get("until", self.ok.decode())
        if not _is_text(until):
            raise BadInput("%suntil takes a text" % where)
        return Step(
            _text(found, "send", where), until.encode(), _number(found, "wait_ms", 10, _WAIT_MS_MAX, 10000, where)
        )


def _known(where: str, values: "Any", keys: "tuple[str, ...]") -> None:
    if not isinstance(values, dict):
        raise BadInput("a modem's profile is a map")
    for key in values:
        if key not in keys:
            raise BadInput("%s%s is nothing a modem's profile has; known are %s" % (where, key, ", ".join(keys)))


def _is_text(value: "Any") -> bool:
    """Something that goes over the line as one command or stands at the start of one answer."""
    return isinstance(value, str) and 0 < len(value) <= WORDS_MAX and all([" " <= c <= "~" for c in value])


def _text(values: "dict[str, Any]", key: str, where: str = "") -> str:
    found = values.get(key)
    if not isinstance(found, str) or not _is_text(found):
        raise BadInput("%s%s takes a text of 1 to %d ASCII characters" % (where, key, WORDS_MAX))
    return found


def _texts(values: "dict[str, Any]", key: str, least: int, most: int) -> "list[bytes]":
    found = values.get(key, [])
    if not isinstance(found, list) or not least <= len(found) <= most or not all([_is_text(text) for text in found]):
        raise BadInput("%s takes a list of %d to %d texts" % (key, least, most))
    return [text.encode() for text in found]


def _number(values: "dict[str, Any]", key: str, low: int, high: int, default: int, where: str = "") -> int:
    found = values.get(key, default)
    if not is_int(found) or not low <= found <= high:
        raise BadInput("%s%s takes a number from %d to %d" % (where, key, low, high))
    number: int = found
    return number
