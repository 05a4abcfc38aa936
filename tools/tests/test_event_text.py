"""Events in words: each that there is, and what its reason and value say."""

import pytest

from tools import event_text
from tools.paths import FIRMWARE
from tunion.wire import command, health, tap
from validator.crash import module_of


def said(code, reason=0, value=0):
    """Both languages, in one."""
    return " | ".join(" ".join(both) for both in event_text.words({"code": code, "reason": reason, "value": value}))


@pytest.mark.parametrize("code", [tap.CRASH, tap.SAFE_MODE, tap.SELF_TEST, tap.BROWN_OUT, tap.WATCHDOG, tap.BOOT,
                                  tap.COMMAND_DONE, tap.LIST_OLD])  # fmt: skip
def test_an_event_has_words(code):
    assert not said(code).startswith("代码")


def test_an_event_of_a_later_release_is_still_shown():
    assert said(200) == "代码 200 code 200"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ((tap.BOOT, health.WATCHDOG_BIT, 0), "by the watchdog"),
        ((tap.BOOT, 0, 0), "boot"),
        ((tap.CRASH, health.number_of("KeyError"), health.place("tap", 123)), "KeyError in tap:123"),
        ((tap.CRASH, 3, health.place("drivers/pn532", 65535)), "TypeError in drivers/pn532:65535"),
        ((tap.CRASH, 0, health.place("of/another/release", 7)), ":7"),
        ((tap.CRASH, 250, 0), "type 250"),
        ((tap.SAFE_MODE, health.CRASHED, health.NO_LISTS), "lists are off, crashed again and again"),
        ((tap.SAFE_MODE, 99, 99), "stage 99, unknown"),
        ((tap.SELF_TEST, 0, health.READER | health.SAM_EXPIRES), "reader, SAM expires within 30 days"),
        ((tap.BROWN_OUT, 0, 40), "40 ms"),
        ((tap.BROWN_OUT, 0, 0), "it ended in a reset"),
    ],
)
def test_what_reason_and_value_say(event, words):
    assert words in said(*event)


def test_every_finding_and_every_bit_of_a_result_has_words():
    bits = {value for name, value in vars(health).items() if name.isupper() and name in _bit_names()}
    assert bits == set(event_text.FINDINGS)
    for bit in (command.READER, command.SAM, command.CLOCK, command.MEMORY, command.FLASH, command.LISTS, command.HEAP):
        assert bit in event_text.FINDINGS and health.folded(bit) == bit
    assert not any(health.folded(bit) & command.TEST_FAILED for bit in event_text.FINDINGS)
    assert all(health.folded(bit) for bit in event_text.FINDINGS)


def _bit_names():
    return {"READER", "SAM", "CLOCK", "MEMORY", "FLASH", "LISTS", "HEAP", *(
        name for name, value in vars(health).items() if name[0].isupper() and isinstance(value, int) and value >= 0x100
    )}  # fmt: skip


def test_no_two_modules_of_this_release_have_the_same_number():
    names = {module_of(str(path.relative_to(FIRMWARE))) for path in FIRMWARE.glob("*/**/*.py")} - {""}
    assert len({health.module_number(name[-26:]) for name in names}) == len(names) > 80


def test_a_place_survives_the_journey_as_a_signed_number():
    for module in ("app", "tap", "drivers/stx_etx_profile", "tunion/cbor"):
        value = health.place(module, 70000)
        assert -(1 << 31) <= value < 1 << 31
        assert health.unplaced(value) == (health.module_number(module), 0xFFFF)
