"""A modem on a pty: AT commands as a profile words them, and real TCP connections behind them.

A second reading of the profile that the firmware's driver reads, sharing nothing but the data; keys:
firmware/docs/modem.md. It opens a connection to wherever it is told, so what stands behind it is the real back office.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.pty_device import READ_BYTES, PtyDevice

PROFILES = Path(__file__).parents[1] / "firmware" / "validator" / "profiles" / "modems"
CONNECT_S = 5.0
LINE_BYTES_MAX = 512
HOME, ROAMING, REFUSED, SEARCHING = "home", "roaming", "refused", "searching"


def load_profile(name: str = "sample_modem_transparent") -> dict[str, Any]:
    """One of firmware/validator/profiles/modems, by its name without .json. Raises OSError."""
    profile: dict[str, Any] = json.loads((PROFILES / f"{name}.json").read_text())
    return profile


class SimModem(PtyDevice):
    """The modem at the end of a serial line.

    profile  the map

    network      what it says of its registration: HOME, ROAMING, REFUSED, SEARCHING
    spoil        called with each piece it says, its own words and a connection's bytes; what it returns leaves instead
    late_s       how long it thinks before each answer to a command
    heard        commands, in order
    restarts     by command or by its power
    connections  made so far
    connected    set while there is one
    restarted    set by the first restart
    """

    def __init__(
        self,
        profile: dict[str, Any],
        link_path: str | os.PathLike[str] | None = None,
        line_bits_per_s: int | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.network = HOME
        self.spoil: Callable[[bytes], bytes] = bytes
        self.late_s = 0.0
        self.heard: list[str] = []
        self.restarts = 0
        self.connections = 0
        self.connected = threading.Event()
        self.restarted = threading.Event()
        self._profile = profile
        self._guard_s = profile.get("guard_ms", 1000) / 1000
        self._ok = profile["ok"]
        self._error = profile["failed"][0]
        self._dials = re.compile(re.escape(profile["dial"]["send"]).replace(r"\{host\}", "(?P<host>[^\"]+)")
                                 .replace(r"\{port\}", "(?P<port>[0-9]+)"))  # fmt: skip
        self._attached = False
        self._echo = True
        self._line = b""
        self._socket: socket.socket | None = None
        self._data_mode = False
        self._held = b""                        # perhaps the start of an escape
        self._heard_s = 0.0
        self._escaping: threading.Timer | None = None
        self._pausing = pause
        super().__init__((link_path,), line_bits_per_s, pause)

    def drop_carrier(self) -> None:
        """The connection is gone and so is the cell, for a moment."""
        with self.lock:
            self._cut()

    def power(self, on: bool) -> None:
        """Its supply. What it was set up for and connected to is gone."""
        with self.lock:
            if on and self.deaf:
                self._restart()
            self.deaf = not on
            self._forget()

    def gone(self) -> None:
        self._forget()

    def received(self, line: int, raw: bytes) -> None:
        now_s = time.monotonic()
        quiet_s, self._heard_s = now_s - self._heard_s, now_s
        if self._escaping is not None:          # something follows: it was the connection's after all
            self._escaping.cancel()
            self._escaping = None
        if not self._data_mode:
            self._commands(raw)
            return
        escape = self._profile["escape"].encode()
        if quiet_s >= self._guard_s * 0.9 or self._held:    # it comes in pieces, as all on a serial line does
            self._held += raw
            if self._held == escape:
                self._escaping = threading.Timer(self._guard_s * 0.9, self._escape)
                self._escaping.daemon = True
                self._escaping.start()
                return
            if escape.startswith(self._held):
                return
            raw, self._held = self._held, b""
        assert self._socket is not None
        with contextlib.suppress(OSError):      # the other side closed: our reader says so
            self._socket.sendall(raw)

    def _escape(self) -> None:
        with self.lock:
            self._escaping, self._held = None, b""
            if self._data_mode:
                self._data_mode = False
                self._say(self._ok)

    def _commands(self, raw: bytes) -> None:
        self._line += raw
        while b"\r" in self._line and not self._data_mode:
            text, _, self._line = self._line.partition(b"\r")
            if self._echo:
                self._out(text + b"\r\r\n")
            self._command(text.strip(b"\n").decode("ascii", "replace"))
        self._line = self._line[-LINE_BYTES_MAX:]

    def _command(self, text: str) -> None:
        profile = self._profile
        if not text:
            return
        self.heard.append(text)
        if self.late_s:
            self._pausing(self.late_s)
        attach = profile.get("attach")
        if text == "AT":
            self._say(self._ok)
        elif text == profile["register"]["ask"]:
            self._say(self._registration(), self._ok)
        elif text in profile.get("setup", []):
            self._echo = self._echo and text != "ATE0"
            self._say(self._ok)
        elif attach and text == attach["send"]:
            self._attach(attach)
        elif text == profile["hang_up"]["send"]:
            self._hang_up()
        elif text == profile.get("restart"):
            self._say(self._ok)
            self._restart()
        elif found := self._dials.fullmatch(text):
            self._dial(found["host"], int(found["port"]))
        else:
            self._say(self._error)

    def _registration(self) -> str:
        words = self._profile["register"]
        return str(words.get(self.network, words["home"][:-1] + "2"))   # 2: it searches

    def _attach(self, attach: dict[str, Any]) -> None:
        if self._attached or self.network not in (HOME, ROAMING):
            self._say(self._error)
            return
        self._attached = True
        self._say(self._ok, attach.get("until", self._ok))

    def _hang_up(self) -> None:
        if self._socket is None:
            self._say(self._error)
            return
        self._close()
        self._say(self._ok, self._profile["hang_up"].get("until", self._ok))

    def _dial(self, host: str, port: int) -> None:
        if self._socket is not None or self._profile.get("attach") and not self._attached:
            self._say(self._error)
            return
        try:
            made = socket.create_connection((host, port), CONNECT_S)
        except OSError:
            self._say(self._profile["failed"][-1])
            return
        made.settimeout(None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = made
        self._data_mode = True
        self.connections += 1
        self.connected.set()
        self._say(self._profile["dial"]["until"] + " 115200")
        threading.Thread(target=self._relay, args=(made,), name="modem", daemon=True).start()

    def _relay(self, made: socket.socket) -> None:
        """What the other side says, to the line, until one of them closes."""
        while True:
            try:
                raw = made.recv(READ_BYTES)
            except OSError:
                raw = b""
            with self.lock:
                if made is not self._socket:
                    return
                if not raw:
                    self._cut()
                    return
                if self._data_mode:
                    self._out(raw)

    def _cut(self) -> None:
        """The connection ends otherwise than by our hanging up."""
        if self._socket is None:
            return
        self._close()
        self._say("CLOSED", "NO CARRIER")

    def _close(self) -> None:
        made, self._socket = self._socket, None
        self._data_mode, self._held = False, b""
        self.connected.clear()
        if made is not None:
            with contextlib.suppress(OSError):  # the other side was first
                made.shutdown(socket.SHUT_RDWR)
            made.close()

    def _restart(self) -> None:
        self.restarts += 1
        self._forget()
        self.restarted.set()

    def _forget(self) -> None:
        self._close()
        self._attached, self._echo, self._line = False, True, b""

    def _say(self, *lines: str) -> None:
        self._out(b"".join(b"\r\n" + line.encode() + b"\r\n" for line in lines))

    def _out(self, raw: bytes) -> None:
        said = self.spoil(raw)
        if said:
            self.send(said)
