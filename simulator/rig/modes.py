"""Every mode as a story on real parts: validators in MicroPython by their profiles, readers and meters on ptys, cards
that check each MAC, the back office over TLS; then the day's close.

A story is data (story.py). Each step waits for what a panel says, and stops the story where it says something else.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from backoffice.fleet import devices
from simulator.card import SimCard
from simulator.field import Faults
from simulator.image import CardImage
from simulator.personalise import TEST_MASTERS, card_image
from simulator.rig import story
from simulator.rig.books import Books
from simulator.rig.cable import Cable
from simulator.rig.centre import Centre, Clerk
from simulator.rig.program import Program, RigFault
from simulator.rig.provision import Bus, params_area
from simulator.rig.riders import ISSUERS, Rider
from simulator.rig.shift import TAP_WAIT_S, Post, in_parallel, says
from simulator.rig.story import Scenario
from simulator.rig.terminals import mount, tariff
from simulator.taxi_meter import SimTaxiMeter
from tunion.bcd import from_digits
from tunion.fare.flat import FlatFare

OPERATORS = ("SAMPLE-BUS-A", "SAMPLE-BUS-B")    # each publishes one tariff
CLOCK_VARIABLE = "YKT_RIG_CLOCK_S"      # boards/unix/set_clock.py
_FIRST_DEVICE, _FIRST_TERMINAL = 0x2A01, 611000000100


_NO_TARIFF = FlatFare(9999, 1, 999900, {})      # nobody could pay it: a story that is told by it fails
_DELIVERY_WAIT_S = 60.0


class StoryFailed(RigFault):
    """A step came out otherwise than it is written. The message names scenario, step and both."""


class Street:
    """A context in which one scenario can `run`. Its parts stand while it lasts: `posts` and `riders` by name.

    folder       emptied first; holds every file of the run
    interpreter  of the validators: its command, options included
    firmware     where it finds their modules: MICROPYPATH
    heard        takes each line of a validator, after the device's name
    clerk        runs a command of `ykt`; None: as a process of its own, each
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        interpreter: list[str],
        firmware: str,
        heard: Callable[[str, dict[str, Any]], None] | None = None,
        clerk: Clerk | None = None,
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._interpreter = interpreter
        self._firmware = firmware
        self._heard = heard
        self._parts = contextlib.ExitStack()
        self._meters: dict[str, SimTaxiMeter] = {}
        self._behind_h: dict[str, int] = {}     # clocks, by device
        self._tariffs: dict[str, Path] = {}     # operator -> the clerk's file
        self.centre = Centre(folder / "centre", clerk)
        self.posts: dict[str, Post] = {}
        self.riders = {card.name: _rider(number, card) for number, card in enumerate(scenario.cards)}

    def __enter__(self) -> "Street":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        with contextlib.ExitStack() as parts:
            self._set_up(parts)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def run(self) -> dict[str, Any]:
        """The story and the day's close; its figures. Raises StoryFailed, RigFault."""
        started_s = time.monotonic()
        posts = list(self.posts.values())
        in_parallel(*[post.power_on for post in posts])
        if self._scenario.delivered:
            self._wait_for_sets(posts)
        for number, step in enumerate(self._scenario.story, 1):
            self._step(number, step)
        in_parallel(*[post.end_shift for post in posts])
        for post in posts:
            post.validator.stop()
        return self._closed(time.monotonic() - started_s)

    # -- the end of the day ---------------------------------------------------------------------------------------

    def _closed(self, seconds: float) -> dict[str, Any]:
        figures = self.centre.clear()
        riders = list(self.riders.values())
        debited_fen = sum(rider.spent_fen for rider in riders)
        rides = {kind: count for kind, count in self.centre.rides()["counts"].items() if count}
        books = Books(self.centre.db, riders, list(self.posts.values()))
        found = {
            "cleared_fen": figures["cleared_fen"],
            "grey": figures["grey"]["opened"],
            "rides": rides,
            "anomalies": figures["anomalies"],
        }
        balanced = debited_fen == figures["cleared_fen"] and not figures["open_fen"] and not figures["problems"]
        return {
            "mode": self._scenario.name,
            "ok": balanced and not books.findings and found == self._scenario.end,
            "balanced": balanced,
            "debited_fen": debited_fen,
            "open_fen": figures["open_fen"],
            "taps": figures["taps"],
            "void": figures["states"].get("VOID", {}).get("count", 0),
            "refused": figures["refused"],
            "steps": len(self._scenario.story),
            "seconds": round(seconds, 1),
            **found,
            "expected": self._scenario.end,
            "findings": books.findings + figures["problems"],
            "db": str(self.centre.db),
        }

    def _wait_for_sets(self, posts: list[Post]) -> None:
        """Until every device says that it charges by its operator's set; each look is behind an upload."""
        deadline = time.monotonic() + _DELIVERY_WAIT_S
        while any(row["running"] != row["devices"] for row in self.centre.coverage()):
            if time.monotonic() > deadline:
                raise StoryFailed(f"{self._scenario.name}: not every device took its set: {self.centre.coverage()}")
            in_parallel(*[post.drain for post in posts])

    # -- steps ----------------------------------------------------------------------------------------------------

    def _step(self, number: int, step: dict[str, Any]) -> None:
        if "network" in step:
            self.cable.pull() if step["network"] == "pull" else self.cable.plug()
            return
        post = self.posts[step["at"]]
        if "card" in step:
            self._tap(number, step, post)
        elif "say" in step:
            self._said(number, step, post)
        elif "meter" in step:
            self._metered(number, step, post)
        else:
            self._behind_h[post.bus.name] = step.get("clock_h", self._behind_h[post.bus.name])
            post.power_cut()
            post.power_on()

    def _tap(self, number: int, step: dict[str, Any], post: Post) -> None:
        rider = self.riders[step["card"]]
        before_fen = rider.spent_fen
        shown = post.tap(rider, Faults(tear_at=[step["tear"]]) if "tear" in step else None)
        wanted = {"what": step["shows"], **step.get("panel", {})}
        self._hold(number, step, wanted, {name: shown.get(name) for name in wanted})
        self._hold(number, step, step.get("costs_fen", 0), rider.spent_fen - before_fen)

    def _said(self, number: int, step: dict[str, Any], post: Post) -> None:
        validator = post.validator
        since = validator.mark()
        validator.say(step["say"])
        answer = validator.expect(says("driver", "unknown"), since, TAP_WAIT_S, step["say"])
        self._hold(number, step, step.get("answer", "ok"), answer.get("word", "unknown"))
        if "duty" in step:
            wanted = {"what": "duty", **step["duty"]}
            of = f"{self._scenario.name}, step {number}: the driver's panel with {step['duty']}"
            validator.expect(lambda line: _has(line, wanted), since, TAP_WAIT_S, of)

    def _metered(self, number: int, step: dict[str, Any], post: Post) -> None:
        """The meter reports, again and again as meters do, until the driver's panel shows what is to be paid."""
        meter, (state, ride, amount_fen) = self._meters[post.bus.name], step["meter"]
        validator, since = post.validator, post.validator.mark()
        deadline = time.monotonic() + TAP_WAIT_S
        waiting_fen = -1
        while waiting_fen != (amount_fen if state == "stopped" else 0):
            if time.monotonic() > deadline:
                raise self._failed(number, step, amount_fen, waiting_fen)
            meter.report(state, ride, amount_fen)
            validator.say("duty")       # a turn of the validator
            panel = validator.expect(says("duty"), since, TAP_WAIT_S, "the driver's panel")
            since, waiting_fen = validator.mark(), panel["meter_fen"]

    def _hold(self, number: int, step: dict[str, Any], wanted: Any, seen: Any) -> None:
        if wanted != seen:
            raise self._failed(number, step, wanted, seen)

    def _failed(self, number: int, step: dict[str, Any], wanted: Any, seen: Any) -> StoryFailed:
        said = json.dumps(step, ensure_ascii=False)
        return StoryFailed(f"{self._scenario.name}, step {number} {said}: wanted {wanted}, seen {seen}")

    # -- setting up -----------------------------------------------------------------------------------------------

    def _set_up(self, parts: contextlib.ExitStack) -> None:
        profiles = {
            each.name: devices.read(devices.DEVICES / f"{each.profile}.json") for each in self._scenario.devices
        }
        operators = dict(zip(dict.fromkeys(each.tariff for each in profiles.values()), OPERATORS, strict=False))
        fares = {path: self._tariff(path, operator) for path, operator in operators.items()}
        fleet = []
        for number, each in enumerate(self._scenario.devices):
            profile = profiles[each.name]
            place = self._folder / each.name
            place.mkdir()
            fleet.append(
                Bus(
                    _FIRST_DEVICE + number, each.name, operators[profile.tariff], ISSUERS[0].org,
                    from_digits(str(_FIRST_TERMINAL + number)), profile.settings["line"], fares[profile.tariff], place,
                )
            )  # fmt: skip
        self._open_office(tuple(fleet), parts)
        for each, bus in zip(self._scenario.devices, fleet, strict=True):
            self._mount(each, bus, profiles[each.name].settings, parts)

    def _tariff(self, sample: Path, operator: str) -> Any:
        """With the scenario's changes, as a clerk's file; the fare it makes."""
        changes = self._scenario.tariffs.get(sample.stem)
        path, fare = tariff(sample, self._folder / operator, operator, int(time.time()), changes)
        self._tariffs[operator] = path
        return fare

    def _open_office(self, fleet: tuple[Bus, ...], parts: contextlib.ExitStack) -> None:
        self.centre.prepare(fleet)
        self._key = self.centre.make_signing_key()
        for operator, path in self._tariffs.items():
            self.centre.publish(path, operator, 1, tariffs=True)
        self.centre.open()
        parts.callback(self.centre.close)
        self.cable = Cable(self.centre.port)
        parts.callback(self.cable.close)

    def _mount(self, each: story.Device, bus: Bus, settings: dict[str, Any], parts: contextlib.ExitStack) -> None:
        """Reader, SAM, meter, device file; the validator is started later."""
        server = {"address": "127.0.0.1", "port": self.cable.port, "pin": self.centre.pin}
        changes = each.settings
        if self._scenario.delivered:
            area = params_area(bus, self._key, interval_s=1)
            changes = {**changes, "params": area, "fare": _NO_TARIFF.to_map()}
        door, meter = mount(bus, each.reader, settings, changes, server, parts)
        if meter is not None:
            self._meters[bus.name] = meter
        self._behind_h[bus.name] = 0
        post = self.posts[bus.name] = Post(bus, door, self._start)
        parts.callback(lambda: hasattr(post, "validator") and post.validator.stop())

    def _start(self, bus: Bus) -> Program:
        heard = self._heard
        return Program(
            bus.name,
            [*self._interpreter, "-m", "boards.unix.set_clock", str(bus.device_file)],
            bus.folder / "validator.log",
            {"MICROPYPATH": self._firmware, CLOCK_VARIABLE: str(-3600 * self._behind_h[bus.name])},
            (lambda line: heard(bus.name, line)) if heard is not None else None,
        )


def _has(line: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(line.get(name) == value for name, value in wanted.items())


def _rider(number: int, card: story.Card) -> Rider:
    issuer = ISSUERS[0 if card.home else 1]
    image: CardImage = card_image(
        TEST_MASTERS,
        issuer.identifier,
        from_digits(f"0{issuer.prefix}{number + 1:011d}"),
        city=issuer.city,
        province=issuer.province,
        start=from_digits("20240101"),
        expiry=from_digits("20351231"),
        kind=card.kind,
        balance_fen=card.balance_fen,
        uid=bytes((4, 0, 0, number)),
    )
    rider = Rider(number, issuer, card.kind, SimCard(image, persist=lambda after: rider.note(after)), card.balance_fen)
    return rider
