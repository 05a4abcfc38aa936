"""The demo: forty riders, three buses and a metro, one day. Every part is the real program or refuses what the
real one does.

What left the cards is read from the cards; what was cleared, from the back office. They must agree to the fen.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.field import Faults
from simulator.rig import shift
from simulator.rig.depot import OTHERS, Depot
from simulator.rig.riders import Rider, riders

RIDERS = 40
POOR, DENIED, TORN, EXPIRED, TORN_AND_GONE, UNDER_POWER_CUT = 3, 7, 9, 12, 14, 25     # rider numbers

NAMES = ("A-101", "B-207", *(name for name, _, _ in OTHERS))       # of the buses and gates
BY_SEGMENT, BY_METRO = slice(30, 34), slice(36, 40)     # riders

Say = Callable[[str, str], None]        # 中文, English
Heard = Callable[[str, dict[str, Any]], None]


class Demo:
    """One run in `folder`, which is emptied first."""

    def __init__(
        self, folder: Path, micropython: list[str], firmware: str, seed: int, say: Say, heard: Heard | None = None
    ) -> None:
        """
        micropython  the interpreter's command, options included
        firmware     MICROPYPATH of the validators
        heard        takes each line of a validator, after its name of NAMES
        """
        self._say = say
        self.riders = riders(RIDERS, seed, poor=POOR, expired=EXPIRED)
        self.depot = Depot(folder, micropython, firmware, (self.riders[DENIED].serial,), heard=heard, modes=True)

    def run(self) -> dict[str, Any]:
        """The whole scenario; its figures. Raises RigFault, PcscdFailed."""
        started_s = time.monotonic()
        self._say(
            "启动后台（HTTPS，SQLite）、pcscd与虚拟读卡器、PN532",
            "starting the back office (HTTPS, SQLite), pcscd with its virtual reader, a PN532 on a pty",
        )
        with self.depot as depot:
            first, second = depot.first, depot.second
            self._say(
                "启动三台车载机和两台地铁闸机（MicroPython）",
                "starting validators in MicroPython: three buses, and two gates of a metro",
            )
            shift.in_parallel(*[lambda post=post: depot.power_on(post) for post in depot.posts])
            self._morning(first, second)
            self._network_cut(first, second)
            self._afternoon(first, second)
            self._evening()
            self._say("收班：等待全部记录送达", "end of shift: waiting until the back office has every record")
            shift.in_parallel(*[post.end_shift for post in depot.posts])
            devices = {post.bus.name: post.figures() for post in depot.posts}
        self._say("验证每一笔TAC并清分", "verifying every TAC and clearing")
        figures = depot.centre.clear()
        return self._held_together(figures, devices, time.monotonic() - started_s)

    def _morning(self, first: shift.Post, second: shift.Post) -> None:
        """Ordinary taps, a card without money, a denied one; one torn in its debit; a validator killed in another."""
        self._say("上午：乘客刷卡", "morning: riders tap")

        def on_first() -> None:
            first.tap_all(self.riders[0:TORN])
            self._torn_and_back(first, self.riders[TORN])

        def on_second() -> None:
            second.tap_all(self.riders[20:UNDER_POWER_CUT])
            self._say(
                f"车载机{second.bus.name}在扣款途中断电，随后用同一闪存重启",
                f"killing validator {second.bus.name} in the middle of a debit, restarting it on the same flash",
            )
            second.tap_under_power_cut(self.riders[UNDER_POWER_CUT])
            second.tap_all(self.riders[UNDER_POWER_CUT + 1 : 30])

        shift.in_parallel(on_first, on_second)

    def _network_cut(self, first: shift.Post, second: shift.Post) -> None:
        """Taps go on without the back office; one card is torn and does not come back to that bus."""
        self._say("拔掉网线：刷卡照常", "pulling the network cable: taps go on")
        self.depot.cable.pull()
        gone = self.riders[TORN_AND_GONE]

        def on_first() -> None:
            first.tap_all([rider for rider in self.riders[10:20] if rider is not gone])
            first.tap(gone, Faults(tear_at=["debit:after"]))

        shift.in_parallel(on_first, lambda: second.tap_all(self.riders[30:40]))
        self._say("插回网线", "plugging the network cable in again")
        self.depot.cable.plug()

    def _afternoon(self, first: shift.Post, second: shift.Post) -> None:
        """Riders change buses; the card that was torn on the first bus is seen on the second."""
        self._say("下午：乘客换乘另一路车", "afternoon: riders change buses")
        shift.in_parallel(
            lambda: first.tap_all(self.riders[20:25]),
            lambda: second.tap_all([self.riders[TORN_AND_GONE], *self.riders[0:3], *self.riders[15:18]]),
        )

    def _evening(self) -> None:
        """Tap on, a stop further tap off; and through the gates of a metro, by distance."""
        self._say(
            "傍晚：分段计费公交上下车刷卡，地铁进出站",
            "evening: tap on and tap off in a segment bus, in and out of a metro",
        )
        bus, (entry, way_out) = self.depot.segment, self.depot.gates

        def in_bus() -> None:
            bus.tell("login 1234")
            bus.tap_all(self.riders[BY_SEGMENT])
            bus.tell("stop +")
            bus.tap_all(self.riders[BY_SEGMENT])

        def in_metro() -> None:
            entry.tap_all(self.riders[BY_METRO])
            way_out.tap_all(self.riders[BY_METRO])

        shift.in_parallel(in_bus, in_metro)

    def _torn_and_back(self, post: shift.Post, rider: Rider) -> None:
        self._say("一张卡在扣款应答前被拿走", "a card is torn away between DEBIT and its answer, and comes back")
        post.tap(rider, Faults(tear_at=["debit:after"]))
        post.tap_all([rider])

    def _held_together(self, figures: dict[str, Any], devices: dict[str, Any], seconds: float) -> dict[str, Any]:
        """What clearing says beside what the cards say."""
        debited_fen = sum(rider.spent_fen for rider in self.riders)
        return {
            "balanced": debited_fen == figures["cleared_fen"] + figures["open_fen"] and not figures["problems"],
            "debited_fen": debited_fen,
            "riders": len(self.riders),
            "seconds": round(seconds, 1),
            "db": str(self.depot.centre.db),
            "devices": devices,
            **figures,
        }
