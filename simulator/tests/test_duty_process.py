"""A validator's process with everything that driver and passenger see and press: display, receiver, meter, words."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.displays import St7920Pty
from simulator.gps_receiver import NO_FIX, GpsReceiver
from simulator.pn532_chip import Pn532Chip
from simulator.rig.program import Program
from simulator.taxi_meter import SimTaxiMeter
from simulator.tests.on_micropython import DESK, FIRMWARE, UNIX, wait_until
from simulator.tests.test_validator_process import ENVIRONMENT, Post
from support import rides

PROFILES = FIRMWARE / "validator" / "profiles"
METER = json.loads((PROFILES / "meters" / "sample_taxi_meter.json").read_text(encoding="utf-8"))
LAT, LON = 228_000_000, 1_083_000_000
TARIFF = {"city": rides.CITY, "network": rides.NETWORK, "operator": b"\x00\x01", "plate": b"A12345D"}
STOPS = [[11, 0, 101 + number, LAT + 50_000 * number, LON, 40] for number in range(3)]


class Cab(Post):
    """A post with all the parts; `tell` says a driver's word and returns the answer."""

    def __init__(self, folder: Path, chip: Pn532Chip, command: list[str], parts: contextlib.ExitStack) -> None:
        super().__init__(folder, chip, command)
        self.glass = St7920Pty(folder / "passenger")
        self.driver_glass = St7920Pty(folder / "driver")
        self.gps = GpsReceiver(folder / "gps")
        self.meter = SimTaxiMeter(folder / "meter", METER)
        for part in (self.glass, self.driver_glass, self.gps, self.meter):
            parts.callback(part.close)
        self.more: dict[str, Any] = dict(
            duty={
                "login": True,
                "lines": [11, 12],
                "progress": "gps",
                "stops": STOPS,
                "gps": {"path": self.gps.path},
                "meter": {"path": self.meter.path, "profile": METER},
            },
            panel=[
                {"driver": "st7920", "path": self.glass.path},
                {"driver": "st7920", "path": self.driver_glass.path, "shows": "driver"},
            ],
        )
        self.write_more()

    def write_more(self, **changes: Any) -> None:
        """The device file, with these settings besides or instead."""
        self.write(**{**self.more, **changes})

    def start(self) -> Program:
        program = Program("cab", self.argv, self.folder / "log", ENVIRONMENT)
        self.expect(program, "duty", 0)
        return program

    def tell(self, program: Program, words: str) -> dict[str, Any]:
        since = program.mark()
        program.say(words)
        return program.expect(lambda line: line.get("what") in ("driver", "unknown"), since, 20, words)

    def drive_to(self, program: Program, number: int) -> None:
        """Stand at a stop, a fix a second, until the validator knows."""
        since = program.mark()

        def known() -> bool:
            self.gps.stand(LAT + 50_000 * number, LON)
            self.tell(program, "duty")      # a turn of the validator
            return any(line.get("stop") == 101 + number for line in program.lines[since:])

        wait_until(known, f"stop {number}")

    def duty(self, program: Program, since: int, **wanted: Any) -> dict[str, Any]:
        """The driver's panel, once it shows this."""
        return program.expect(
            lambda line: line.get("what") == "duty" and all(line[name] == value for name, value in wanted.items()),
            since, 20, f"the driver's panel with {wanted}",
        )  # fmt: skip


BIG_UNIX = (UNIX[0], "-X", "heapsize=1m")      # every driver at once, compiled on the spot


@pytest.fixture(params=[(*BIG_UNIX, "-m", "boards.unix.main"), (*DESK, "-m", "boards.desk.main")], ids=["unix", "desk"])
def cab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cab]:
    with contextlib.ExitStack() as parts:
        chip = Pn532Chip(tmp_path / "pn532")
        parts.callback(chip.close)
        yield Cab(tmp_path, chip, list(request.param), parts)


def shows(glass: St7920Pty, *lines: str) -> None:
    """Waits until the glass reads so, blanks aside, and nothing that the chip refuses came on the way."""
    wanted = [line.replace(" ", "") for line in lines]
    wait_until(
        lambda: [line.replace(" ", "") for line in glass.screen()][: len(lines)] == wanted, f"{lines} on the display"
    )
    assert glass.refused == []


def test_a_shift_from_login_to_logout_across_a_power_cut(cab: Cab):
    program = cab.start()
    cab.expect(program, "closed", 0)
    shows(cab.glass, "暂停服务", "请用其他设备", "Closed here", "Use another one")
    shows(cab.driver_glass, "11路上行", "站101 每卡1人", "请司机登录")

    since = program.mark()
    assert cab.tell(program, "login 1234")["word"] == "ok"
    cab.expect(program, "ready", since)
    shows(cab.glass, "欢迎乘车", "请刷卡", "Welcome", "Please tap card")
    assert cab.tap(program, "paid")["beep"] == "one"
    cab.duty(program, since, served=1, amount_fen=200, driver=1234, shift=1)
    shows(cab.driver_glass, "11路上行", "站101 每卡1人", "司机1234", "1次 2.00元")

    since = program.mark()
    for number in (1, 2):
        cab.drive_to(program, number)
        assert cab.duty(program, since, stop=101 + number)["driver"] == 1234

    program.kill()
    program = cab.start()
    kept = cab.duty(program, 0)
    assert (kept["stop"], kept["driver"], kept["shift"], kept["amount_fen"]) == (103, 1234, 1, 200)
    cab.expect(program, "ready", 0)
    assert cab.tap(program, "paid")["balance_fen"] == 4600
    since = program.mark()
    assert cab.tell(program, "logout")["word"] == "ok"
    ended = cab.duty(program, since, ready=False)
    assert (ended["served"], ended["amount_fen"]) == (2, 400)
    cab.expect(program, "closed", since)
    program.stop()


def test_without_a_fix_the_drivers_key_advances_and_wrong_words_are_named(cab: Cab):
    program = cab.start()
    cab.gps.send(NO_FIX)
    since = program.mark()
    assert cab.tell(program, "stop +")["word"] == "ok"
    cab.duty(program, since, stop=102)
    for words, answer in (("line 99", "line_unknown"), ("login me", "number"), ("logout", "not_logged_in")):
        told = cab.tell(program, words)
        assert (told["what"], told["word"]) == ("driver", answer) and told["zh"] and told["en"]
    told = cab.tell(program, "fly")
    assert told["what"] == "unknown" and "login" in told["known"] and "grey" in told["known"]
    assert cab.tell(program, "x" * 300)["what"] == "unknown"
    program.stop()


def test_a_taxi_ride_waits_to_be_paid_when_the_meter_stops_and_is_paid_once(cab: Cab):
    cab.write_more(fare=rides.taxi().to_map(), **TARIFF)
    program = cab.start()
    cab.tell(program, "login 5")
    for state, ride, amount_fen in (("free", 41, 0), ("hired", 42, 1000)):
        cab.meter.report(state, ride, amount_fen)
    assert cab.tap(program, "refused")["reason"] == "meter_not_ready"
    cab.meter.send(b"\xaa\x55noise")

    def told(amount_fen: int) -> list[dict[str, Any]]:
        cab.meter.report("stopped", 42, 2600)   # as a meter does, again and again
        return [line for line in program.lines if line.get("meter_fen") == amount_fen]

    assert wait_until(lambda: told(2600), "the ride's amount on the driver's panel")[-1]["zh"][3] == "26.00元"
    shows(cab.driver_glass, "11路上行", "站101 每卡1人", "计价器", "26.00元")
    since = program.mark()
    assert cab.tap(program, "paid")["fare_fen"] == 2600
    cab.duty(program, since, meter_fen=0, served=1, amount_fen=2600)
    program.kill()
    program = cab.start()
    told(0)
    cab.expect(program, "ready", 0)
    told(0)
    assert cab.tap(program, "refused")["reason"] == "meter_not_ready"
    assert cab.duty(program, 0)["meter_fen"] == 0 and cab.card.image.balance_fen == 2400
    program.stop()


def test_stops_by_the_drivers_key_decide_a_segment_fare(cab: Cab):
    stops = [[11, 0, code, 0, 0, 0] for code in rides.STOPS]
    cab.write_more(fare=rides.line().to_map(), duty={"progress": "key", "stops": stops}, **TARIFF)
    program = cab.start()
    cab.expect(program, "ready", 0)
    assert cab.tap(program, "board")["marked_fen"] == 400
    for _ in range(2):
        assert cab.tell(program, "stop +")["word"] == "ok"
    assert cab.tap(program, "alight")["fare_fen"] == 200
    assert cab.card.image.balance_fen == 4800
    program.stop()


def test_the_meters_frame_is_the_sample_of_the_page():
    meter = SimTaxiMeter.__new__(SimTaxiMeter)
    meter._profile = METER
    assert meter.frame("stopped", 42, 2570).hex(" ") == "aa 55 02 00 00 42 00 02 57 00 00 00 00 00 15 0d"
