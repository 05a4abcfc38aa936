"""Displays that decode the very bits a driver sends, and refuse what the chips ignore or garble.

A chip keeps its own time in microseconds: what the driver waits for and what the bus takes moves it. `untimed` chips
take everything at once, for a bus whose speed nobody knows, such as a pty.
"""

import os

from simulator.pty_device import PtyDevice

POWER_UP_US = 40_000        # both data sheets: no command before


class ChipRefused(Exception):
    """A real chip would have lost or garbled this. The message names what was wrong."""


class Chip:
    """Time and readiness, common to both."""

    def __init__(self, untimed: bool = False) -> None:
        self._untimed = untimed
        self.now_us = 0.0
        self._busy_until_us = float(POWER_UP_US)

    def wait_us(self, wait_us: int) -> None:
        """The driver waits."""
        self.now_us += wait_us

    def _begin(self, what: str) -> None:
        """Raises ChipRefused while the last command is still at work."""
        if not self._untimed and self.now_us < self._busy_until_us:
            left_us = self._busy_until_us - self.now_us
            raise ChipRefused(f"{what}: the chip is busy for another {left_us:.0f} us")

    def _busy(self, busy_us: int) -> None:
        self._busy_until_us = self.now_us + busy_us


class Hd44780Chip(Chip):
    """HD44780 with ROM A00 behind a PCF8574: each byte of `write` is the state of eight wires.

    byte_us   what a byte takes on the way: 25 at 400 kHz I2C; 0 for pins that are set at once
    half_way  the chip was left in 4-bit mode with half a command taken: the board restarted, the display did not
    """

    COLUMNS, ROWS = 16, 2
    _LINES = (0x00, 0x40)
    _LINE_BYTES = 40
    _GLYPHS = {0x5C: "¥", 0x7E: "→", 0x7F: "←"}

    def __init__(self, byte_us: int = 25, half_way: bool = False, untimed: bool = False) -> None:
        super().__init__(untimed)
        self._byte_us = byte_us
        self._wires = 0
        self._four_bits = half_way
        self._half: int | None = 0x0 if half_way else None
        self._resets = 2 if half_way else 0     # function sets to 8 bits: the first two take long after power
        self._two_lines = self._on = self._right = False
        self._ram = bytearray(b"\xff" * 128)    # power brings garbage
        self._at = 0
        self.light = False
        self.dead = False

    def write(self, data: bytes) -> None:
        """Raises OSError where it is unplugged, ChipRefused."""
        if self.dead:
            raise OSError(19)
        for wires in data:
            self.now_us += self._byte_us
            if self._wires & 4 and not wires & 4:
                if (self._wires ^ wires) & 0xF1:
                    raise ChipRefused("data or RS change while E falls")
                self._clocked(wires)
            elif not self._wires & 4 and wires & 4 and (self._wires ^ wires) & 0x01:
                raise ChipRefused("RS changes while E rises")
            self._wires = wires
            self.light = bool(wires & 8)

    def screen(self) -> list[str]:
        """What can be read on the glass."""
        if not self._on:
            return [" " * self.COLUMNS] * self.ROWS
        lines = [self._ram[start : start + self.COLUMNS] for start in self._LINES]
        if not self._two_lines:
            lines[1] = bytearray(b" " * self.COLUMNS)
        return ["".join(self._GLYPHS.get(byte, chr(byte)) for byte in line) for line in lines]

    def _clocked(self, wires: int) -> None:
        if wires & 2:
            raise ChipRefused("R/W is high: the chip would drive its wires against ours")
        nibble = wires & 0xF0
        self._begin("an E pulse")
        if not self._four_bits:
            self._taken(nibble | 0x0F, wires & 1)   # the open wires D3..D0 are pulled up
        elif self._half is None:
            self._half = nibble
        else:
            whole, self._half = self._half | nibble >> 4, None
            self._taken(whole, wires & 1)

    def _taken(self, byte: int, is_data: int) -> None:
        if is_data:
            if not self._on:
                raise ChipRefused("data before the display was started")
            self._ram[self._at] = byte
            self._at += 1 if self._right else -1
            if self._at in (self._LINE_BYTES, self._LINES[1] + self._LINE_BYTES):
                self._at = self._LINES[self._at < self._LINES[1]]
            self._busy(41)
            return
        self._busy(37)
        if byte & 0x80:
            self._at = byte & 0x7F
            if self._at % 64 >= self._LINE_BYTES:
                raise ChipRefused(f"there is no address {self._at:02X}")
        elif byte & 0x60 == 0x20:
            self._function(byte)
        elif not self._four_bits:
            raise ChipRefused(f"command {byte:02X} before the chip was brought to 4 bits")
        elif byte & 0x78 == 0x08:
            self._on = bool(byte & 4)
        elif byte & 0x7C == 0x04:
            self._right = bool(byte & 2)
            if byte & 1:
                raise ChipRefused("the display shifts with each letter")
        elif byte & 0x7E == 0x02:
            self._at = 0
            self._busy(1520)
        elif byte == 0x01:
            self._ram[:] = b" " * len(self._ram)
            self._at, self._right = 0, True
            self._busy(1520)
        else:
            raise ChipRefused(f"command {byte:02X} is not modelled")

    def _function(self, byte: int) -> None:
        if byte & 0x10:
            self._four_bits, self._half = False, None
            self._busy((4100, 100, 37)[min(self._resets, 2)])
            self._resets += 1
            return
        if not self._four_bits:
            if self._resets < 3:
                raise ChipRefused("4 bits before three function sets to 8 bits")
            self._four_bits = True      # its lower half was not sent: lines and font come with the next
            return
        self._two_lines = bool(byte & 8)


class St7920Chip(Chip):
    """ST7920 on its serial port, its GB2312 ROM as Python knows it.

    bit_us  1.6 at 600 kHz, the fastest at 2.7 V
    """

    COLUMNS, ROWS = 16, 4
    _LINES = (0x00, 0x10, 0x08, 0x18)

    def __init__(self, bit_us: float = 1.6, untimed: bool = False) -> None:
        super().__init__(untimed)
        self._bit_us = bit_us
        self._ones = 0
        self._bits: list[int] | None = None     # behind the five ones
        self._sets = 0
        self._on = self._cleared = self._right = False
        self._ram = bytearray(b"\xa1\xf6" * 32)
        self._at = 0                            # byte, two a word
        self.dead = False

    def write(self, data: bytes) -> None:
        """One selection: CS up, the bytes, CS down. Raises OSError where it is unplugged, ChipRefused."""
        if self.dead:
            raise OSError(5)
        if not self._untimed:
            self._bits, self._ones = None, 0
        for byte in data:
            for bit in range(7, -1, -1):
                self.now_us += self._bit_us
                self._clocked(byte >> bit & 1)
        if not self._untimed and self._bits is not None:
            raise ChipRefused(f"deselected after {len(self._bits)} of 19 bits")

    def screen(self, half_drawn: bool = False) -> list[str]:
        """What can be read on the glass.

        half_drawn  a word that is no character is a blob: the driver may be at it. Else raises ChipRefused
        """
        if not self._on:
            return [" " * self.COLUMNS] * self.ROWS
        return [self._line(2 * start, half_drawn) for start in self._LINES]

    def _line(self, start: int, half_drawn: bool) -> str:
        shown = ""
        for at in range(start, start + self.COLUMNS, 2):
            word = bytes(self._ram[at : at + 2])
            if word[0] < 0x80 and word[1] < 0x80:
                shown += word.decode("ascii")
                continue
            try:
                shown += word.decode("gb2312")
            except UnicodeDecodeError:
                if half_drawn:
                    shown += "■"
                    continue
                raise ChipRefused(f"column {at - start}: {word.hex()} is no character of the ROM") from None
        return shown

    def _clocked(self, bit: int) -> None:
        if self._bits is None:
            self._ones = self._ones + 1 if bit else 0
            if self._ones == 5:
                self._begin("a start of five ones")
                self._bits, self._ones = [], 0
            return
        self._bits.append(bit)
        if len(self._bits) < 19:
            return
        bits, self._bits = self._bits, None
        write, select, zero, high, low = bits[0], bits[1], bits[2], bits[3:11], bits[11:19]
        if write or zero or any(high[4:]) or any(low[4:]):
            raise ChipRefused("R/W is high, or filling bits are not 0")
        byte = 0
        for value in high[:4] + low[:4]:
            byte = byte << 1 | value
        self._taken(byte, select)

    def _taken(self, byte: int, is_data: int) -> None:
        self._busy(72)
        if is_data:
            if not (self._on and self._cleared and self._right):
                raise ChipRefused("data before the display was started")
            self._ram[self._at] = byte
            self._at = (self._at + 1) % len(self._ram)
        elif byte & 0xF7 == 0x30:
            self._sets += 1
            self._busy(100 if self._sets == 1 else 72)
        elif byte & 0xE0 == 0x20:
            raise ChipRefused(f"function set {byte:02X}: 4 bits or extended instructions")
        elif self._sets < 2:
            raise ChipRefused(f"command {byte:02X} before two function sets")
        elif byte & 0xF8 == 0x08:
            self._on = bool(byte & 4)
            self._busy(100)
        elif byte == 0x01:
            self._ram[:] = b" " * len(self._ram)
            self._at, self._cleared = 0, True
            self._busy(1600)
        elif byte & 0xFC == 0x04:
            self._right = byte & 3 == 2
        elif byte & 0x80:
            if byte & 0x60:
                raise ChipRefused(f"there is no address {byte & 0x7F:02X}")
            self._at = 2 * (byte & 0x1F)
        else:
            raise ChipRefused(f"command {byte:02X} is not modelled")


class St7920Pty(PtyDevice):
    """The chip where a validator's process opens a path. Faults are kept in `refused`: the chip has no way back."""

    def __init__(self, link_path: str | os.PathLike[str]) -> None:
        self.chip = St7920Chip(untimed=True)
        self.refused: list[str] = []
        super().__init__((link_path,))

    def received(self, line: int, raw: bytes) -> None:
        try:
            self.chip.write(raw)
        except ChipRefused as refused:
            self.refused.append(str(refused))

    def screen(self) -> list[str]:
        """What can be read on the glass at this moment."""
        with self.lock:
            return self.chip.screen(half_drawn=True)
