"""The display drivers against the chips: what is shown is read from the very bits."""

from collections.abc import Callable

import pytest

from simulator.displays import ChipRefused, Hd44780Chip, St7920Chip
from support.manual_clock import ManualClock
from tunion.fare import decision
from tunion.wire import reason
from validator import messages
from validator.drivers.lcd_hd44780 import Hd44780
from validator.drivers.lcd_st7920 import St7920, encoded
from validator.drivers.panels import OPEN_WAIT_MS, Panels, ScreenPanel
from validator.ports import PanelLost

Made = Callable[[], tuple[Hd44780Chip | St7920Chip, Hd44780 | St7920]]
MONEY = {"fare_fen": 200, "balance_fen": 4805, "marked_fen": 600}
DETAILS = {**MONEY, "part": "sam", "reason": reason.DENIED, "sw": 0, "found": 3}


def hd44780(**how: int) -> tuple[Hd44780Chip, Hd44780]:
    chip = Hd44780Chip(**how)
    return chip, Hd44780(chip, chip.wait_us)


def st7920() -> tuple[St7920Chip, St7920]:
    chip = St7920Chip()
    return chip, St7920(chip, chip.wait_us)


def stripped(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("how", [{}, {"byte_us": 0}, {"byte_us": 100}, {"half_way": True}])
def test_the_character_display_shows_two_lines_from_any_state(how: dict[str, int]):
    chip, screen = hd44780(**how)
    screen.open()
    screen.show(("Paid 2.00", "Left 48.05"))
    assert chip.screen() == ["Paid 2.00       ", "Left 48.05      "]
    assert chip.light
    screen.show(("a line that is much too long", "no \\ ~ 余", "third"))
    assert chip.screen() == ["a line that is m", "no ? ? ?        "]
    screen.open()   # again, while it runs
    screen.show(("x",))
    assert stripped(chip.screen()) == ["x", ""]


def test_the_graphic_display_shows_chinese_from_its_own_rom():
    chip, screen = st7920()
    screen.open()
    screen.show(("扣款2.00元", "余额1048.05元", "Paid 2.00", "Left 1048.05"))
    assert stripped(chip.screen()) == ["扣款2.00元", "余额1048.05 元", "Paid 2.00", "Left 1048.05"]
    screen.show(("请刷卡",))
    assert stripped(chip.screen()) == ["请刷卡", "", "", ""]


def everything() -> list[tuple[str, dict[str, int | str]]]:
    shown: list[tuple[str, dict[str, int | str]]] = [(what, dict(DETAILS)) for what in messages.WHAT]
    shown += [("refused", {"reason": number}) for number in reason.WORDS]
    shown += [("refused", {"reason": reason.of_case(case)}) for case in decision.CASES]
    return shown


def test_every_message_is_whole_on_both_displays():
    small, screen = hd44780()
    large, graphic = st7920()
    clock = ManualClock()
    panel = Panels((ScreenPanel(screen, clock), ScreenPanel(graphic, clock)))
    for what, details in everything():
        panel.show(what, **details)
        said = messages.message(what, details)
        assert stripped(small.screen()) == list(said.large_en)
        glass = [line.replace(" ", "") for line in large.screen()]
        assert glass == [line.replace(" ", "") for line in said.large_zh + said.large_en], what
        assert "?" not in "".join(glass)
    assert panel.lost == 0


@pytest.mark.parametrize(("text", "shown"), [
    ("一二", "一二"), ("1一", "1 一"), ("1234567890123456一", "1234567890123456"),
    ("123456789012345一", "123456789012345"), ("龍", "?"), ("", ""),
])  # fmt: skip
def test_a_chinese_character_begins_at_an_even_column(text: str, shown: str):
    raw = encoded(text, 16)
    assert len(raw) == 16
    assert raw.decode("gb2312").rstrip() == shown.replace("二", "?").replace("龍", "?")


def without(wait_us: int) -> Callable[[Hd44780Chip | St7920Chip], Callable[[int], None]]:
    """A driver that does not wait `wait_us`, whatever it is for."""
    return lambda chip: lambda asked_us: None if asked_us == wait_us else chip.wait_us(asked_us)


@pytest.mark.parametrize("wait_us", [50000, 4500, 150, 2000, 50])
def test_the_character_display_refuses_a_driver_in_a_hurry(wait_us: int):
    chip = Hd44780Chip(byte_us=0)
    screen = Hd44780(chip, without(wait_us)(chip))
    with pytest.raises(ChipRefused, match="busy"):
        screen.open()
        screen.show(("x",))


@pytest.mark.parametrize("wait_us", [50000, 120, 2000, 80])
def test_the_graphic_display_refuses_a_driver_in_a_hurry(wait_us: int):
    chip = St7920Chip(bit_us=0)
    screen = St7920(chip, without(wait_us)(chip))
    with pytest.raises(ChipRefused, match="busy"):
        screen.open()
        screen.show(("x",))


@pytest.mark.parametrize("make", [hd44780, st7920])
def test_a_display_that_was_not_started_refuses_text(make: Made):
    chip, screen = make()
    chip.wait_us(100_000)
    with pytest.raises(ChipRefused):
        screen.show(("x",))


def test_half_a_character_is_refused_where_nobody_is_drawing():
    chip, screen = st7920()
    screen.open()
    screen.show(("扣",))
    screen._send(0xF8, 0x80)
    chip.wait_us(100)
    screen._send(0xFA, 0x20)
    assert chip.screen(half_drawn=True)[0].startswith("■")
    with pytest.raises(ChipRefused, match="20db"):
        chip.screen()


@pytest.mark.parametrize("raw", [
    b"\xfc\x30\x00", b"\xf9\x30\x00", b"\xf8\x3f\x00", b"\xf8\x30\x0f", b"\xf8\x30", b"\xf8\x20\x00", b"\xf8\x00\x10",
    b"\xf8\x30\x40",
])  # fmt: skip
def test_the_graphic_display_refuses_frames_that_are_none(raw: bytes):
    chip = St7920Chip()
    chip.wait_us(100_000)
    with pytest.raises(ChipRefused):
        chip.write(raw)


@pytest.mark.parametrize("raw", [b"\x3c\x28", b"\x3c\x39\x38", b"\x3e\x3a", b"\x30\x35\x31", b"\x2c\x28", b"\x0c\x08"])
def test_the_character_display_refuses_wires_that_move_wrongly(raw: bytes):
    chip = Hd44780Chip()
    chip.wait_us(100_000)
    with pytest.raises(ChipRefused):
        chip.write(raw)


@pytest.mark.parametrize("make", [hd44780, st7920])
def test_a_display_that_is_unplugged_is_opened_again(make: Made):
    clock = ManualClock()
    chip, screen = make()
    other, second = hd44780()
    panel = Panels((ScreenPanel(screen, clock), ScreenPanel(second, clock)))
    panel.show("ready")
    chip.dead = True
    panel.show("tap_again")
    assert panel.lost == 1
    assert stripped(other.screen()) == ["Tap again", "Hold it longer"]
    with pytest.raises(PanelLost):
        screen.open()
    chip.dead = False
    panel.show("ready")     # too early: nothing is tried
    assert panel.lost == 1
    clock.advance_ms(OPEN_WAIT_MS)
    panel.show("passed")
    assert "Go through" in "".join(chip.screen())
