"""The demo: keys, SAMs and forty cards are made, then three buses and a metro run for two days. Every part is the
real program or refuses what the real one does.

What left the cards is read from the cards; what was cleared, from the back office. They must agree to the fen.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulator.field import Card, Faults
from simulator.pcscd import Pcscd
from simulator.rig import shift
from simulator.rig.depot import OTHERS, Depot
from simulator.rig.keyroom import VAULT, KeyRoom
from simulator.rig.provision import Bus
from simulator.rig.riders import Rider, people
from simulator.rig.works import Works

RIDERS, LATER = 40, 4       # cards made before the first day, and after the roll-over
READERS = 4                 # of the card works
POOR, DENIED, TORN, EXPIRED, TORN_AND_GONE, UNDER_POWER_CUT = 3, 7, 9, 12, 14, 25     # rider numbers

NAMES = ("A-101", "B-207", *(name for name, _, _ in OTHERS))       # of the buses and gates
BY_SEGMENT, BY_METRO = slice(30, 34), slice(36, 40)     # riders

Say = Callable[[str, str], None]        # 中文, English
Heard = Callable[[str, dict[str, Any]], None]


class Demo:
    """One run in `folder`, which is emptied first."""

    def __init__(
        self, folder: Path, micropython: list[str], firmware: str, seed: int, say: Say, heard: Heard | None = None,
        keys: str = VAULT,
    ) -> None:  # fmt: skip
        """
        micropython  the interpreter's command, options included
        firmware     MICROPYPATH of the validators
        heard        takes each line of a validator, after its name of NAMES
        keys         of keyroom.KEYS
        """
        self._say = say
        self.people = people(RIDERS + LATER, seed, poor=POOR, expired=EXPIRED)
        self.riders: list[Rider] = []
        self.room = KeyRoom(folder / "centre", keys, seed)
        self.soft = keys == VAULT       # from a token no key leaves that a soft SAM could hold
        self.depot = Depot(
            folder, micropython, firmware, heard=heard, modes=True, room=self.room, supply=self, readers=READERS
        )
        self._pcscd: Pcscd
        self._works: Works

    # --- what the depot asks for

    def make(self, db: Path, pcscd: Pcscd, fleet: Sequence[Bus]) -> None:
        """A SAM for each terminal, a card for each rider."""
        self._pcscd = pcscd
        kcvs = " ".join(f"{key['purpose']} {key['kcv']}" for key in self.depot.centre.ceremony["keys"])
        self._say(f"密钥仪式（测试）完成，校验值 {kcvs}", f"key ceremony (TEST) held, check values {kcvs}")
        self._say("订购、制作、装机SAM", "ordering, making and installing a SAM for each terminal")
        with_psam = 1 if self.soft else len(fleet)
        self.room.make_psams(db, pcscd, pcscd.readers[1], fleet[:with_psam])
        self.room.make_soft_sams(db, fleet[with_psam:])
        self._say(
            f"在{READERS}台读卡器上制作、发行{RIDERS}张卡",
            f"making {RIDERS} cards on {READERS} readers, selling and loading them",
        )
        self._works = Works(db, self.room.args, pcscd, self.room.env)
        self.riders = self._works.make(self.people[:RIDERS], pcscd.readers)
        self._works.close()

    def denied(self) -> list[bytes]:
        return [self.riders[DENIED].serial]

    def psam(self, bus: Bus) -> Card:
        return self.room.psam(bus)

    def soft_sam(self, bus: Bus) -> dict[str, Any]:
        return self.room.soft_sam(bus)

    def run(self) -> dict[str, Any]:
        """The whole scenario; its figures. Raises RigFault, PcscdFailed."""
        started_s = time.monotonic()
        self._say(
            "举行密钥仪式（无人值守，测试密钥），启动后台（HTTPS，SQLite）、pcscd与虚拟读卡器",
            "key ceremony (unattended, TEST keys); starting the back office (HTTPS, SQLite), pcscd with four readers",
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
            self._end_of_shift()
            self._say("验证每一笔TAC并清分", "verifying every TAC and clearing")
            first_day = depot.centre.clear()
            devices = self._second_day()
            self._say("验证并清分第二天", "verifying and clearing the second day")
            figures = depot.centre.clear()
            made = {"cards": self._works.stock(), "sams": self.room.stock(depot.centre.db)}
            self._works.close()
        figures["days"] = [
            {name: day[name] for name in ("day", "output_digest")} for day in (first_day, figures)
        ]
        return self._held_together({**figures, **made}, devices, time.monotonic() - started_s)

    def _end_of_shift(self) -> None:
        self._say("收班：等待全部记录送达", "end of shift: waiting until the back office has every record")
        shift.in_parallel(*[post.end_shift for post in self.depot.posts])

    def _second_day(self) -> dict[str, Any]:
        """Keys are rolled over at noon. Old cards and new ones pay in the afternoon; the validators' own figures."""
        depot = self.depot
        self._say("第二天：启动各终端", "the second day: powering everything on")
        depot.next_day()
        shift.in_parallel(*[lambda post=post: depot.power_on(post) for post in depot.posts])
        self._say("上午：旧版本密钥的卡照常刷卡", "morning: riders tap with cards of key version 1")
        shift.in_parallel(
            lambda: depot.first.tap_all(self.riders[15:20]), lambda: depot.second.tap_all(self.riders[21:25])
        )
        self._roll_over()
        self._say("下午：新旧两版卡在各终端刷卡", "afternoon: cards of version 1 and 2 at every validator")
        later = self.riders[RIDERS:]
        entry, way_out = depot.gates

        def in_bus() -> None:
            depot.segment.tap_all([*later, self.riders[30]])
            depot.segment.tell("stop +")
            depot.segment.tap_all([*later, self.riders[30]])

        shift.in_parallel(
            lambda: depot.first.tap_all([*later, *self.riders[20:23]]),
            lambda: depot.second.tap_all(self.riders[15:18]),
        )
        shift.in_parallel(lambda: depot.second.tap_all(later), lambda: depot.first.tap_all(self.riders[23:25]))
        in_bus()
        entry.tap_all([*later, self.riders[36]])
        way_out.tap_all([*later, self.riders[36]])
        self._end_of_shift()
        return {post.bus.name: post.figures() for post in depot.posts}

    def _roll_over(self) -> None:
        """Version 2 into every SAM, then into new cards. Version 1 pays on; its TAC key only proves."""
        depot, room, pcscd = self.depot, self.room, self._pcscd
        self._say(
            "中午：换版，新版本密钥写入每个SAM，之后用新版本制卡",
            "noon: a roll-over of keys, version 2 into every SAM, then new cards are made with it",
        )
        shift.in_parallel(*[post.drain for post in depot.posts])
        for post in depot.posts:
            post.validator.stop()
        depot.psam.remove()
        room.new_version(depot.centre.db, pcscd, pcscd.readers[1], [post.bus for post in depot.posts])
        depot.insert_psam()
        for post in depot.posts[1:] if self.soft else ():
            depot.give_soft_sam(post)
        self._works = Works(depot.centre.db, room.args, pcscd, room.env, again=True)
        made = self._works.make(self.people[RIDERS:], pcscd.readers[2:])
        self.riders += made
        room.end_version(depot.centre.db, "tac")
        shift.in_parallel(*[lambda post=post: post.power_on() for post in depot.posts])

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
            "keys": self.room.kind,
            "seconds": round(seconds, 1),
            "db": str(self.depot.centre.db),
            "devices": devices,
            **figures,
        }
