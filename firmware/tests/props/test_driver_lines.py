"""Whatever a receiver, a meter or a driver's key sends: nothing raises, and what is right is understood exactly."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from simulator.gps_receiver import fix
from simulator.taxi_meter import SimTaxiMeter
from support.bus import settings
from support.manual_clock import ManualClock
from support.spoken_line import SpokenLine
from validator import duty_words, messages
from validator.drivers import taxi_meter
from validator.drivers.nmea import Nmea
from validator.drivers.taxi_meter import MeterProfile, TaxiMeter
from validator.duty import Duty
from validator.rides.site import ROLES

METERS = Path(taxi_meter.__file__).parents[1] / "profiles" / "meters"
SAMPLE = json.loads((METERS / "sample_taxi_meter.json").read_text(encoding="utf-8"))
beginnings = st.sampled_from((b"$GNRMC,", b"*00\r\n", b"\xaa\x55", b"$", b"\n"))
pieces = st.lists(st.one_of(st.binary(max_size=40), beginnings))


class NoJournal:
    last_paid = None
    seq = 0

    def event(self, *told, **more):
        pass


@given(
    lat_e7=st.integers(-900000000, 900000000),
    lon_e7=st.integers(-1800000000, 1800000000),
    second=st.integers(0, 86399),
    before=pieces,
)
def test_a_fix_is_understood_to_the_last_digit_behind_any_noise(lat_e7, lon_e7, second, before):
    line = SpokenLine()
    gps = Nmea(line, ManualClock())
    gps.step()
    for piece in before:
        line.say(piece)
        gps.step()
    line.say(b"\r\n" + fix(lat_e7, lon_e7, second))
    gps.step()
    found = gps.fix()
    assert (found.lat_e7, found.lon_e7) == (lat_e7, lon_e7)


@given(ride=st.integers(0, 999999), jiao=st.integers(0, 999999), state=st.sampled_from(("free", "hired", "stopped")),
       before=pieces)  # fmt: skip
def test_a_meters_frame_is_found_behind_any_noise(ride, jiao, state, before):
    line = SpokenLine()
    meter = TaxiMeter(line, ManualClock(), MeterProfile(SAMPLE))
    meter.step()
    for piece in before:
        line.say(piece)
        meter.step()
    sim = SimTaxiMeter.__new__(SimTaxiMeter)
    sim._profile = SAMPLE
    frame = sim.frame(state, ride, 10 * jiao)
    line.say(bytes(16) + frame + frame)  # noise may end in what begins a frame
    meter.step()
    assert (meter.state, meter.ride, meter.amount_fen) == (state, ride, 10 * jiao)


words = st.one_of(
    st.text(max_size=12), st.sampled_from([*duty_words.KNOWN.split(), "+", "-", "1", "entry", "exit", "off", "65535"])
)


@given(st.lists(st.lists(words, max_size=3), max_size=8), st.sampled_from(ROLES))
def test_any_words_are_answered_by_name(lines, role):
    duty = Duty(settings(duty={"lines": [1]}, role=role), NoJournal(), ManualClock())
    for line in lines:
        word, zh, en = duty_words.said(duty, line)
        assert word in messages.DRIVER and zh and en
        assert 1 <= duty.riders <= 20 and 0 <= duty.driver <= 0xFFFFFFFF
