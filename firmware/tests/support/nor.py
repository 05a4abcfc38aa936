"""NOR flash in memory: it refuses to set bits, loses power after a chosen amount of work, wears, and counts its cost.

Work is counted in bytes while programming and in parts of the sector while erasing, so that a sweep over `cut_after`
visits every torn byte. A cut raises PowerCut; the flash then refuses everything until `rebooted()`. What cells do wrong
beyond that is in `Faults`, drawn from a seed. The model and why: firmware/docs/faults.md.
"""

from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# The parts of a sector in which an erase proceeds, in 1/1024: cut short it leaves any mixture of old and blank.
FORWARD = tuple((at, at + 64) for at in range(0, 1024, 64))
BACKWARD = tuple(reversed(FORWARD))
MARKS_FIRST = ((56, 64),) + tuple((slot + 100, slot + 128) for slot in range(128, 1024, 128)) + FORWARD

# Modes of a cell that cannot be programmed or erased any more.
SILENT = 0  # the chip says that it has done its work
LOUD = 1  # the chip reports the failure: FlashFault

# How far a program or erase had got when the power failed.
HARDLY_BEGUN, HALF_WAY, NEARLY_DONE = 0, 1, 2

_WEAK_IN_PROGRAMMED = 16  # one byte in so many of a program that has hardly begun, or is nearly done, has a weak bit
_WEAK_IN_ERASED = 24  # one byte in so many of a part whose erase was not verified has a weak bit


class PowerCut(Exception):
    """The power failed. Nothing after this line happened."""


class Chance:
    """A linear congruential generator: the same draws on both interpreters."""

    def __init__(self, seed: int) -> None:
        self.state = (seed * 2654435761 + 12345) & 0xFFFFFFFF

    def byte(self) -> int:
        """0 to 255."""
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return self.state >> 24

    def below(self, limit: int) -> int:
        """0 to limit - 1; limit at most 2**16."""
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 16) * limit >> 16


class Faults:
    """What the cells of one chip do wrong. It belongs to the cells, not to the power: reboots share it.

    weak       a cut leaves bits that read differently from one time to the next, until programmed or erased again
    pages      a cut tears all bytes that were being programmed, not only the next one: chips take a page at once
    endurance  erases a sector stands, 0: any number; a worn sector's erase leaves one more bit stuck at 0
    mode       SILENT or LOUD: whether stuck and worn cells are reported
    progress   of what a cut tears: HARDLY_BEGUN, HALF_WAY, NEARLY_DONE; None: drawn each time
    """

    def __init__(
        self,
        seed: int,
        weak: bool = True,
        pages: bool = False,
        endurance: int = 0,
        mode: int = SILENT,
        progress: "int | None" = None,
    ) -> None:
        self.seed = seed
        self.weak = weak
        self.pages = pages
        self.endurance = endurance
        self.mode = mode
        self.progress = progress
        self.chance = Chance(seed)
        self.wavering: dict[int, dict[int, int]] = {}  # sector -> address -> bits that are neither 0 nor 1
        self.stuck_at_0: dict[int, int] = {}  # address -> bits
        self.stuck_at_1: dict[int, int] = {}

    def twin(self) -> "Faults":
        """The same chip, in the same state, to be treated differently."""
        other = Faults(self.seed, self.weak, self.pages, self.endurance, self.mode, self.progress)
        other.chance.state = self.chance.state
        other.wavering = {sector: dict(self.wavering[sector]) for sector in self.wavering}
        other.stuck_at_0 = dict(self.stuck_at_0)
        other.stuck_at_1 = dict(self.stuck_at_1)
        return other

    def drawn_progress(self) -> int:
        """How far the work had got that is torn now."""
        drawn = self.chance.below(3)
        return drawn if self.progress is None else self.progress

    def stick(self, address: int, bits: int, at: int) -> None:
        """From now on `bits` of this byte are `at`, 0 or 1; what they read is so from the next program or erase on."""
        stuck = self.stuck_at_1 if at else self.stuck_at_0
        stuck[address] = stuck.get(address, 0) | bits

    def stick_some(self, count: int, size: int) -> None:
        """So many bits, anywhere in the first `size` bytes, at 0 or 1."""
        for _ in range(count):
            address = self.chance.below(256) * (size // 256) + self.chance.below(max(1, size // 256))
            self.stick(address, 1 << self.chance.below(8), self.chance.below(2))


class NorFlash:
    """`cut_after`: how many bytes of programming still succeed, None for no cut.

    Without `faults` a torn byte has half its bits, and reads the same each time.

    programs, programmed_bytes, reads, read_bytes, erases   since power came
    units, ends      of work done since power came, and those at which a program or an erase was complete
    worn             erases of each sector since it was made
    """

    def __init__(
        self,
        sectors: int = 8,
        sector_bytes: int = 1024,
        page_bytes: int = 256,
        cut_after: "int | None" = None,
        cells: "bytearray | None" = None,
        erase_order: "Sequence[tuple[int, int]]" = FORWARD,
        faults: "Faults | None" = None,
        worn: "list[int] | None" = None,
    ) -> None:
        self.sectors = sectors
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.cut_after = cut_after
        self.erase_order = erase_order
        self.cells = cells or bytearray(b"\xff" * (sectors * sector_bytes))
        self.faults = faults
        self.worn = worn or [0] * sectors
        self.programs = 0
        self.programmed_bytes = 0
        self.reads = 0
        self.read_bytes = 0
        self.erases = 0
        self.units = 0
        self.ends: list[int] = []
        self._dark = False

    def rebooted(self, cut_after: "int | None" = None) -> "NorFlash":
        """The same cells under new power."""
        return self._again(cut_after, self.cells, self.faults, self.worn)

    def twin(self, cut_after: "int | None" = None) -> "NorFlash":
        """A chip in the same state, under power: what happens to one does not happen to the other."""
        faults = None if self.faults is None else self.faults.twin()
        return self._again(cut_after, bytearray(self.cells), faults, list(self.worn))

    def _again(
        self, cut_after: "int | None", cells: bytearray, faults: "Faults | None", worn: "list[int]"
    ) -> "NorFlash":
        return NorFlash(
            self.sectors, self.sector_bytes, self.page_bytes, cut_after, cells, self.erase_order, faults, worn
        )

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        self._need_power()
        if address < 0 or address + len(buffer) > len(self.cells):
            raise FlashFault("read past the end")
        self.reads += 1
        self.read_bytes += len(buffer)
        buffer[:] = self.cells[address : address + len(buffer)]
        if self.faults is not None and self.faults.wavering:
            self._waver(address, buffer)

    def program(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        self._need_power()
        if address < 0 or address + len(data) > len(self.cells):
            raise FlashFault("program past the end")
        if address // self.page_bytes != (address + len(data) - 1) // self.page_bytes:
            raise FlashFault("program across a page border")
        self._require_clearing(address, data)
        self.programs += 1
        if self._is_plain(address, len(data)):
            self.cells[address : address + len(data)] = data
            self._count(len(data))
            return
        failed = False
        for i in range(len(data)):
            if self._power_fails():
                self._tear(address + i, data[i:])
                raise PowerCut("power failed")
            failed = self._set_cell(address + i, data[i]) or failed
        self._count(len(data))
        if failed and self.faults is not None and self.faults.mode == LOUD:
            raise FlashFault("a cell that cannot be programmed, from %d on" % address)

    def erase(self, sector: int) -> None:
        self._need_power()
        if not 0 <= sector < self.sectors:
            raise FlashFault("no such sector")
        start = sector * self.sector_bytes
        parts = [
            (start + first * self.sector_bytes // 1024, start + last * self.sector_bytes // 1024)
            for first, last in self.erase_order
        ]
        for i in range(len(parts)):
            if self._power_fails():
                self._unsettle(sector, parts[:i], parts[i:])
                raise PowerCut("power failed")
            first, last = parts[i]
            self.cells[first:last] = b"\xff" * (last - first)
        self.units += len(parts)
        if self.faults is not None:
            if self._power_fails():  # all erased, not verified
                self._unsettle(sector, parts, [])
                raise PowerCut("power failed")
            self.units += 1
        self.ends.append(self.units)
        self.erases += 1
        self.worn[sector] += 1
        if self.faults is not None:
            self._age(self.faults, sector)

    def _require_clearing(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        wanted = int.from_bytes(bytes(data), "big")
        if not wanted & ~int.from_bytes(bytes(self.cells[address : address + len(data)]), "big"):
            return
        for i in range(len(data)):
            if data[i] & ~self.cells[address + i] & 0xFF and not self._is_stuck_at_0(address + i, data[i]):
                raise FlashFault("a bit that would have to be set at %d" % (address + i))

    def _is_plain(self, address: int, count: int) -> bool:
        """So many bytes can be programmed in one go: the power lasts, and no cell of the sector is at fault."""
        if self.cut_after is not None and self.cut_after < count:
            return False
        faults = self.faults
        if faults is not None and (
            faults.stuck_at_0 or faults.stuck_at_1 or address // self.sector_bytes in faults.wavering
        ):
            return False
        if self.cut_after is not None:
            self.cut_after -= count
        return True

    def _count(self, count: int) -> None:
        self.programmed_bytes += count
        self.units += count
        self.ends.append(self.units)

    # -- cells --------------------------------------------------------------------------------------------------

    def _power_fails(self) -> bool:
        """One more piece of work: does it find the power gone?"""
        if self.cut_after is None:
            return False
        if self.cut_after == 0:
            self._dark = True
            return True
        self.cut_after -= 1
        return False

    def _set_cell(self, address: int, value: int) -> bool:
        """Program one byte, which makes its zero bits firm. True if the cell did not take it."""
        if self.faults is None:
            self.cells[address] = value
            return False
        self._firm(self.faults, address, value)
        kept = self.faults.stuck_at_1.get(address, 0) & self.cells[address]
        held = self.faults.stuck_at_0.get(address, 0)
        self.cells[address] = (self.cells[address] & value | kept) & ~held & 0xFF
        return self.cells[address] != value

    def _tear(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        """The power fails while the first byte of `data` is programmed."""
        if self.faults is None:
            self.cells[address] &= data[0] | 0x55
            return
        progress = self.faults.drawn_progress()
        for i in range(len(data) if self.faults.pages else 1):
            self._tear_byte(self.faults, address + i, data[i], progress)

    def _tear_byte(self, faults: Faults, address: int, value: int, progress: int) -> None:
        """Of the bits to be cleared some are, some are not, and with `weak` some are between, few at either end."""
        chance = faults.chance
        clearing = self.cells[address] & ~value & 0xFF
        between = clearing & chance.byte()
        if progress != HALF_WAY:
            between = clearing & 1 << chance.below(8) if chance.below(_WEAK_IN_PROGRAMMED) == 0 else 0
        done = (0, clearing & chance.byte(), clearing)[progress]
        if not faults.weak:
            between = 0
        done &= ~between & ~faults.stuck_at_1.get(address, 0)
        self.cells[address] &= ~done & 0xFF
        self._firm(faults, address, ~done & 0xFF)
        if between:
            sector = address // self.sector_bytes
            wavering = faults.wavering.setdefault(sector, {})
            wavering[address] = wavering.get(address, 0) | between

    def _firm(self, faults: Faults, address: int, value: int) -> None:
        """Bits programmed to 0 waver no more."""
        sector = address // self.sector_bytes
        wavering = faults.wavering.get(sector)
        if wavering is None or address not in wavering:
            return
        wavering[address] &= value
        if not wavering[address]:
            del wavering[address]
            if not wavering:
                del faults.wavering[sector]

    def _unsettle(self, sector: int, done: "list[tuple[int, int]]", undone: "list[tuple[int, int]]") -> None:
        """An erase was cut short. Chips program all bits to 0 first, then set all, then verify.

        So what looks erased may not be firm, and the rest reads as before, as 0, as FF, or as any of them in turn.
        """
        if self.faults is None or not self.faults.weak:
            return
        chance = self.faults.chance
        wavering = self.faults.wavering.setdefault(sector, {})
        begun = self.faults.drawn_progress() != HARDLY_BEGUN
        for first, last in undone:
            for address in range(first, last):
                what = chance.below(4) if begun else chance.below(4 * _WEAK_IN_ERASED)
                if what == 1:
                    self.cells[address] = 0
                elif what == 2:
                    self.cells[address] = 0xFF
                elif what == 3:
                    self.cells[address] = 0xFF
                    wavering[address] = 0xFF
        for first, last in done:
            for address in range(first, last):
                if chance.below(_WEAK_IN_ERASED) == 0:
                    self.cells[address] = 0xFF
                    wavering[address] = 1 << chance.below(8)

    def _waver(self, address: int, buffer: "bytearray | memoryview") -> None:
        assert self.faults is not None
        first = address // self.sector_bytes
        for sector in range(first, (address + len(buffer) - 1) // self.sector_bytes + 1):
            wavering = self.faults.wavering.get(sector)
            if wavering is None:
                continue
            end = address + len(buffer)
            for at in sorted([at for at in wavering if address <= at < end]):
                buffer[at - address] &= ~(wavering[at] & self.faults.chance.byte()) & 0xFF

    def _age(self, faults: Faults, sector: int) -> None:
        """A whole erase: nothing wavers; a worn sector has one more bit stuck; stuck bits stay 0."""
        faults.wavering.pop(sector, None)
        start = sector * self.sector_bytes
        if faults.endurance and self.worn[sector] > faults.endurance:
            faults.stick(start + faults.chance.below(self.sector_bytes), 1 << faults.chance.below(8), 0)
        failed = False
        for address in faults.stuck_at_0:
            if start <= address < start + self.sector_bytes:
                self.cells[address] &= ~faults.stuck_at_0[address] & 0xFF
                failed = True
        if failed and faults.mode == LOUD:
            raise FlashFault("sector %d cannot be erased" % sector)

    def _is_stuck_at_0(self, address: int, value: int) -> bool:
        """Each bit that would have to be set is one that no erase sets any more."""
        if self.faults is None:
            return False
        return not value & ~self.cells[address] & ~self.faults.stuck_at_0.get(address, 0) & 0xFF

    def _need_power(self) -> None:
        if self._dark:
            raise PowerCut("power is off")
