"""What a validator says of its own health in events: why it started, where it broke, what a self-test found.

    event        reason                        value
    BOOT         why it started, POWER ...     claims found open
    CRASH        number_of(type)               place(module, line)
    WATCHDOG     -                             such resets since the device was made
    BROWN_OUT    -                             milliseconds that a dip lasted; 0: it ended in a reset
    SAFE_MODE    why, CRASHED ...              stage, 0: left
    SELF_TEST    -                             bits, READER ...

Firmware and back office read the same tables. firmware/docs/supervisor.md
"""

from tunion.compat import const
from tunion.crc import crc32

# Why the board started, as far as it knows
UNKNOWN = const(0)
POWER = const(1)  # somebody switched it on
WATCHDOG_BIT = const(2)  # it was stuck
BROWN_OUT_RESET = const(3)  # the supply sagged
SOFTWARE = const(4)  # it restarted itself: an order, a crash
CAUSES = ("unknown", "power", "watchdog", "brown_out", "software")

# Why safe mode was entered or left
CRASHED = const(1)
STUCK = const(2)  # the watchdog
TRIAL = const(3)  # it was stable for a while: a normal boot is tried
ORDERED = const(4)  # by the office

# Stages of safe mode: each leaves off what the ones before do, and more
NORMAL = const(0)
NO_CARDS = const(1)  # reader and SAM are not opened
NO_LISTS = const(2)
NO_PARAMS = const(3)  # what was provisioned is in force, nothing is downloaded

# What a self-test finds. The lowest byte goes into a command's result; 16 stands for "failed" there.
READER = const(1)
SAM = const(2)
CLOCK = const(4)
MEMORY = const(8)  # the journal is 80 % full
FLASH = const(0x20)
LISTS = const(0x40)
HEAP = const(0x80)
SAM_TEST_KEYS = const(0x100)  # in production
SAM_EXPIRES = const(0x200)  # within SAM_WARNING_S
CLOCK_EARLY = const(0x400)  # shows a time before this firmware was made
FLASH_WORN = const(0x800)  # sectors of the journal are retired
KEEP_FORGETS = const(0x1000)  # what was written beside the journal does not read back
LIST_DAMAGED = const(0x2000)
LIST_OLD = const(0x4000)
PARAMS_DAMAGED = const(0x8000)

# finding -> the bit of the lowest byte that it belongs to
BELONGS = {
    SAM_TEST_KEYS: SAM,
    SAM_EXPIRES: SAM,
    CLOCK_EARLY: CLOCK,
    FLASH_WORN: FLASH,
    KEEP_FORGETS: FLASH,
    LIST_DAMAGED: LISTS,
    LIST_OLD: LISTS,
    PARAMS_DAMAGED: LISTS,
}

# Exceptions by number; append only. 0 is any other.
TYPES = (
    "other",
    "MemoryError",
    "ValueError",
    "TypeError",
    "KeyError",
    "IndexError",
    "AttributeError",
    "AssertionError",
    "OSError",
    "RuntimeError",
    "ZeroDivisionError",
    "OverflowError",
    "NotImplementedError",
    "NameError",
    "ImportError",
    "StopIteration",
    "UnicodeError",
    "EOFError",
    "ArithmeticError",
    "LookupError",
    "BadInput",
    "BadSettings",
    "JournalFull",
    "ForeignFlash",
    "FlashFault",
    "ReaderLost",
    "SamLost",
    "NetLost",
    "LinkLost",
    "CardRefused",
    "Unproven",
    "NoKey",
    "MacRejected",
    "Refused",
    "BadSignature",
    "RecursionError",
    "GeneratorExit",
)
_LINE_MAX = const(0xFFFF)


def number_of(type_name: str) -> int:
    """The number of an exception's type."""
    return TYPES.index(type_name) if type_name in TYPES else 0


def module_number(module: str) -> int:
    """16 bits that stand for a module's name as a crash record has it: "app", "drivers/pn532", "tunion/cbor"."""
    return crc32(module.encode()) & 0xFFFF


def place(module: str, line: int) -> int:
    """Module and line as a signed 32-bit value. "" and 0: not known."""
    if not module:
        return 0
    value = module_number(module) << 16 | min(line, _LINE_MAX)
    return value - (1 << 32) if value >> 31 else value


def unplaced(value: int) -> "tuple[int, int]":
    """(module_number, line) of a `place`."""
    return value >> 16 & 0xFFFF, value & _LINE_MAX


def folded(found: int) -> int:
    """All that a self-test found, in the lowest byte."""
    for bit in BELONGS:
        if found & bit:
            found |= BELONGS[bit]
    return found & 0xFF
