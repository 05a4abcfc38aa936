"""When no cards are taken any more because the program keeps breaking, and when it is tried again.

Pure rules over the black box's numbers: who calls them saves. Reasons: firmware/docs/supervisor.md.
"""

from tunion.wire.health import NO_CARDS, NO_PARAMS, NORMAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.crash import BlackBox
    from validator.settings import Care

_COUNT_MAX = 0xFF
_DOUBLINGS_MAX = 16  # of the wait for a trial; the longest wait cuts it short before


def fell(box: "BlackBox", care: "Care") -> bool:
    """A boot ended in a crash or by the watchdog. True if that changes the stage."""
    before = box.stage
    box.bad = min(box.bad + 1, _COUNT_MAX)
    if box.stage != NORMAL:
        box.stage = min(box.stage + 1, NO_PARAMS)  # not even that much runs
    elif box.bad >= care.crashes_max:
        box.stage = max(NO_CARDS, box.held)
    return box.stage != before


def ran_clean(box: "BlackBox", care: "Care", up_s: int) -> bool:
    """A normal boot has run for `up_s`. True if that clears what was counted."""
    if box.stage != NORMAL or up_s < care.clean_s or not (box.bad or box.trials or box.held):
        return False
    box.bad = box.trials = box.held = 0
    return True


def is_trial_due(box: "BlackBox", care: "Care", up_s: int) -> bool:
    """Safe mode has run for `up_s` without a crash: long enough to try a normal boot."""
    return box.stage != NORMAL and up_s >= trial_wait_s(box, care)


def trial_wait_s(box: "BlackBox", care: "Care") -> int:
    """Doubles with each trial that failed."""
    wait_s: int = care.retry_s << min(box.trials, _DOUBLINGS_MAX)
    longest_s: int = max(care.retry_s, care.retry_max_s)
    return min(wait_s, longest_s)


def begin_trial(box: "BlackBox", care: "Care") -> None:
    """The next boot is a normal one; one crash in it leads back to the stage that ran well."""
    box.held = box.stage
    box.stage = NORMAL
    box.trials = min(box.trials + 1, _COUNT_MAX)
    box.bad = care.crashes_max - 1


def leave(box: "BlackBox") -> None:
    """By order: as if nothing had been."""
    box.stage = NORMAL
    box.bad = box.trials = box.held = 0
