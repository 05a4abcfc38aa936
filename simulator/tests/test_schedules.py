"""Exactly once over a bad network: some schedules of simulator/rig/schedules.py, and a checker that can fail."""

import logging
import random
from collections.abc import Iterator

import pytest

from simulator.network import LATE_MS, SILENCE_MS_MAX, Link, Network, Weather
from simulator.rig import schedules
from validator.ports import NetLost, Response

SEED = 20
SCHEDULES = 150


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Intake says a line for each message that it refuses, and here it refuses many."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_every_tap_that_a_passenger_was_told_of_arrives_once_and_no_other():
    sums = schedules.run(SEED, range(SCHEDULES))
    assert sums["schedules"] == SCHEDULES and sums["taps"] > 75 * SCHEDULES and sums["cuts"] > SCHEDULES


def test_a_seed_and_a_number_replay_a_schedule():
    assert schedules.run(SEED, [7]) == schedules.run(SEED, [7])
    assert schedules.run(SEED, [7]) != schedules.run(SEED, [8])


@pytest.mark.parametrize("words", ["missing", "never begun", "ran twice"])
def test_the_checker_finds_what_is_wrong(words: str):
    with schedules.office() as store:
        schedule = schedules.Schedule(store, SEED, 3)
        schedule.happen()
        schedule.compare()
        bus = schedule.buses[0]
        if words == "missing":
            bus.told.add("03100000000000000000")
        elif words == "never begun":
            bus.begun -= bus.told
        else:
            bus.lost_epochs.clear()
            bus.reboots = 100
        with pytest.raises(schedules.Failed, match=words):
            schedule.compare()


def carried(weather: Weather, messages: int = 40) -> tuple[list[tuple[int, bytes]], int]:
    """What arrives of numbered messages that go out one a second, and when."""
    network = Network(lambda path, body: Response(200, 0, b""), random.Random(1), weather)
    arrived: list[tuple[int, bytes]] = []
    for number in range(messages):
        network.carry(b"message %02d" % number, lambda content: arrived.append((network.now_ms, content)))
        network.advance(1000)
    network.advance(LATE_MS[1])
    return arrived, network.now_ms


def test_each_kind_of_weather_does_what_it_says():
    sent = [b"message %02d" % number for number in range(40)]
    assert [content for _, content in carried(Weather())[0]] == sent
    assert carried(Weather(lost=1000))[0] == []
    assert sorted(content for _, content in carried(Weather(doubled=1000))[0]) == sorted(2 * sent)
    late = carried(Weather(late=1000))[0]
    assert len(late) == 40 and late[0][0] >= LATE_MS[0]
    assert [content for _, content in late] != sent, "and in another order"
    cut = [content for _, content in carried(Weather(cut=1000))[0]]
    assert all(any(whole.startswith(content) for whole in sent) for content in cut) and cut != sent


def test_a_device_gives_up_after_silence_and_a_late_answer_meets_its_next_question():
    network = Network(lambda path, body: Response(200, 0, b"to " + body), random.Random(1), Weather(late=1000))
    link = Link(network, "office")
    link.start("/", [b"fi", b"rst"])
    network.advance(SILENCE_MS_MAX + 1)
    with pytest.raises(NetLost):
        link.step()
    assert link.step() is None
    met = []
    for number in range(200):
        link.start("/", [b"%d" % number])
        network.advance(SILENCE_MS_MAX - 1)
        answer = link.step()
        if answer is not None:
            met.append((number, answer.body))
    assert met and all(body != b"to %d" % number for number, body in met)
