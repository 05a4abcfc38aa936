"""What the office may order a validator to do, and how that ended.

In a reply: [id, name, argument]. The id counts up per device, from 1; the argument is a number, 0 where none is
needed. How it ended comes back as an event COMMAND_DONE with the id as its value and a result below as its reason.
"""

from tunion.compat import const

ID_MAX = const(0x7FFFFFFF)  # an event's value is signed

REBOOT = "reboot"
RECONNECT = "reconnect"  # a new connection to the office
UPLOAD_LOG = "upload_log"  # argument 1: in the device's own minutes of the night
SET_INTERVAL = "set_interval"  # argument: seconds between two uploads; 0: as provisioned
LOCK = "lock"  # cards are not taken, until `unlock`
UNLOCK = "unlock"
SELF_TEST = "self_test"
RE_ENROL = "re_enrol"  # prove the journal afresh
SET_MODES = "set_modes"  # argument: degraded modes of the station, the five lowest bits of tunion.fare.trip; 0: none
MODES_MAX = const(31)
LEAVE_SAFE_MODE = "leave_safe_mode"  # start again, normally
INTERVAL_S_MAX = const(86400)

# name -> lowest and highest argument
ARGUMENTS = {
    REBOOT: (0, 0),
    RECONNECT: (0, 0),
    UPLOAD_LOG: (0, 1),
    SET_INTERVAL: (0, INTERVAL_S_MAX),
    LOCK: (0, 0),
    UNLOCK: (0, 0),
    SELF_TEST: (0, 0),
    RE_ENROL: (0, 0),
    SET_MODES: (0, MODES_MAX),
    LEAVE_SAFE_MODE: (0, 0),
}

DONE = const(0)
UNKNOWN = const(1)  # this firmware, or this kind of terminal, has no such command
BAD_ARGUMENT = const(2)
NOT_KEPT = const(3)  # done, and forgotten at the next power cut: the board keeps nothing
TEST_FAILED = const(16)  # plus what is not in order:
READER = const(1)
SAM = const(2)
CLOCK = const(4)
MEMORY = const(8)
FLASH = const(32)
LISTS = const(64)  # and parameters
HEAP = const(128)
