"""Random commands against a blank: it never becomes whole without its keys and files, and never tells a key."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.blank import TEST_TRANSPORT, BlankCard, BlankPsam, blanks
from simulator.blank_image import INITIALISED, PERSONALISED, BlankImage
from simulator.image import CARD_KEYS
from simulator.tests.blank_office import CONTROL_KEY, NAMES, OK, Office
from simulator.tests.flows import SELECT_EPURSE, SELECT_SAM

TELLING_BYTES = 4       # so many bytes of a key in an answer in a row are no chance: answers are short, keys are random

raw = st.binary(min_size=0, max_size=40)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 40)),                 # one of the right ones, at the wrong time
        st.tuples(st.just("next"), st.just(0)),                         # the right one
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("reset"), st.just(0)),
        st.tuples(st.just("again"), st.integers(0, 20)),                # a replay
        st.tuples(st.just("flip"), st.integers(0, 300)),                # the last command with a bit changed
        st.tuples(st.just("cut"), st.integers(0, 40)),                  # the last command cut short
        st.tuples(st.just("raw"), raw),
        st.tuples(st.just("read"), st.integers(0, 255)),
    ),
    max_size=60,
)


def whole(image: BlankImage) -> bool:
    """What stage 2 promises, said a second time."""
    content = image.content
    if image.card:
        files = (0x15, 0x17)
        usages = CARD_KEYS
    else:
        files, usages = (0x15, 0x16, 0x17), ("purchase",)
    written = all(image.written.get(sfi) == b"\xff" * len(content.files[sfi]) for sfi in files)
    made = image.made == {one.sfi for one in image.profile.files}
    control = not image.control.transport and image.control.value == CONTROL_KEY
    return written and made and control and image.application and all(content.keys[usage] for usage in usages)


def windows(raw: bytes) -> set[bytes]:
    return {raw[at : at + TELLING_BYTES] for at in range(len(raw) - TELLING_BYTES + 1)} - {bytes(TELLING_BYTES)}


@cache
def secrets(name: str) -> set[bytes]:
    own = Office(name, bytes)
    values = [TEST_TRANSPORT, own.key, CONTROL_KEY, *(one[0].value for one in own.content.keys.values())]
    return set().union(*(windows(value) for value in values))


@pytest.mark.parametrize("name", NAMES)
@given(plan=steps, head_start=st.integers(0, 30))
def test_no_commands_make_a_chip_whole_that_is_not(name: str, plan: list[tuple[str, Any]], head_start: int):
    chip, = blanks(1, name)
    chip.power_on()
    heard: list[bytes] = []
    said: list[bytes] = []

    def send(apdu: bytes) -> bytes:
        stage = chip.image.stage
        answer = chip.transceive(apdu)
        assert len(answer) >= 2
        assert chip.image.stage in (stage, stage + 1)
        assert answer[-2:] == OK or chip.image.stage == stage
        if stage == INITIALISED and chip.image.stage == PERSONALISED:
            assert whole(chip.image)
        heard.append(apdu)
        said.append(answer)
        return answer

    office = Office(name, send)
    right = office.all_steps()
    done = 0
    for step in right[:head_start]:
        step()
        done += 1
    for what, how in plan:
        if what == "step":
            right[how % len(right)]()
        elif what == "next" and done < len(right):
            right[done]()
            done += 1
        elif what == "end":
            office.end_stage(how)
        elif what == "reset":
            chip.power_on()
        elif what == "again" and heard:
            send(heard[-1 - how % len(heard)])
        elif what == "flip" and heard and heard[-1]:
            command = bytearray(heard[-1])
            command[how // 8 % len(command)] ^= 1 << how % 8
            send(bytes(command))
        elif what == "cut" and heard:
            send(heard[-1][:how])
        elif what == "raw":
            send(how)
        elif what == "read":
            for command in (SELECT_EPURSE, SELECT_SAM, f"00B0{how:02X}0000", f"00B201{how:02X}00", f"80CA9F{how:02X}"):
                send(bytes.fromhex(command))

    assert chip.image.stage < PERSONALISED or whole(chip.image)
    assert isinstance(chip, BlankCard | BlankPsam)
    assert not secrets(name) & set().union(*(windows(answer) for answer in said))
    assert BlankImage.from_json(chip.image.to_json()) == chip.image
