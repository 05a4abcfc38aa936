"""The demo: forty riders, two buses, one evening. Every part is the real program or refuses what the real one does.

What left the cards is read from the cards; what was cleared, from the back office. They must agree to the fen.
"""

import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from simulator.field import Faults
from simulator.pcscd import READERS, Pcscd
from simulator.personalise import TEST_MASTERS, psam_image
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.rig import shift
from simulator.rig.cable import Cable
from simulator.rig.centre import Centre
from simulator.rig.program import Program
from simulator.rig.provision import Bus, buses, write_device_file
from simulator.rig.riders import ISSUERS, Rider, riders
from simulator.vpcd import VpcdSlot
from tunion.bcd import from_digits
from tunion.crypto.keys import suite
from tunion.wire.soft_sam import make_blob

RIDERS = 40
POOR, DENIED, TORN, EXPIRED, TORN_AND_GONE, UNDER_POWER_CUT = 3, 7, 9, 12, 14, 25     # rider numbers
START, EXPIRY = from_digits("20240101"), from_digits("20351231")

Say = Callable[[str, str], None]        # 中文, English


class Demo:
    """One run in `folder`, which is emptied first."""

    def __init__(self, folder: Path, micropython: list[str], firmware: str, seed: int, say: Say) -> None:
        """
        micropython  the interpreter's command, options included
        firmware     MICROPYPATH of the validators
        """
        self._folder = folder
        self._micropython = micropython
        self._firmware = firmware
        self._say = say
        self._riders = riders(RIDERS, seed, poor=POOR, expired=EXPIRED)
        self.centre = Centre(folder / "centre")

    def run(self) -> dict[str, Any]:
        """The whole scenario; its figures. Raises RigFault, PcscdFailed."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        started_s = time.monotonic()
        with ExitStack() as stack:
            first, second, cable = self._start(stack)
            self._morning(first, second)
            self._network_cut(first, second, cable)
            self._afternoon(first, second)
            self._say("收班：等待全部记录送达", "end of shift: waiting until the back office has every record")
            shift.in_parallel(first.end_shift, second.end_shift)
            devices = {post.bus.name: post.figures() for post in (first, second)}
        self._say("验证每一笔TAC并清分", "verifying every TAC and clearing")
        figures = self.centre.clear()
        return self._held_together(figures, devices, time.monotonic() - started_s)

    def _start(self, stack: ExitStack) -> tuple[shift.Post, shift.Post, Cable]:
        self._say("启动后台（HTTPS，SQLite）", "starting the back office (HTTPS, SQLite)")
        fleet = buses(self._folder)
        self.centre.prepare(fleet)
        self.centre.open()
        stack.callback(self.centre.close)
        cable = Cable(self.centre.port)
        stack.callback(cable.close)
        server = {"address": "127.0.0.1", "port": cable.port, "pin": self.centre.pin}
        denied = [self._riders[DENIED].serial]

        self._say("启动pcscd与虚拟读卡器、PN532", "starting pcscd with its virtual reader, and a PN532 on a pty")
        pcscd = stack.enter_context(Pcscd())
        psam = VpcdSlot(pcscd.port + 1)
        psam.insert(SimPsam(_psam(fleet[0])))
        stack.callback(psam.remove)
        card_slot = VpcdSlot(pcscd.port)
        stack.callback(card_slot.remove)
        chip = Pn532Chip()
        stack.callback(chip.close)

        reader, sam = ({"driver": "pcsc", "name": name} for name in READERS)
        write_device_file(fleet[0], reader, {**sam, "driver": "psam"}, server, denied)
        write_device_file(fleet[1], {"driver": "pn532", "path": str(chip.path)}, _soft_sam(fleet[1]), server, denied)

        posts = (
            shift.Post(fleet[0], card_slot, self._validator(pcscd.command)),
            shift.Post(fleet[1], chip, self._validator(list)),
        )
        self._say("启动两台车载机（MicroPython）", "starting two validators in MicroPython")
        for post in posts:
            post.power_on()
            stack.callback(lambda post=post: post.validator.stop())
        return *posts, cable

    def _morning(self, first: shift.Post, second: shift.Post) -> None:
        """Ordinary taps, a card without money, a denied one; one torn in its debit; a validator killed in another."""
        self._say("上午：乘客刷卡", "morning: riders tap")

        def on_first() -> None:
            self._all(first, self._riders[0:TORN])
            self._torn_and_back(first, self._riders[TORN])

        def on_second() -> None:
            self._all(second, self._riders[20:UNDER_POWER_CUT])
            self._say(
                f"车载机{second.bus.name}在扣款途中断电，随后用同一闪存重启",
                f"killing validator {second.bus.name} in the middle of a debit, restarting it on the same flash",
            )
            second.tap_under_power_cut(self._riders[UNDER_POWER_CUT])
            self._all(second, self._riders[UNDER_POWER_CUT + 1 : 30])

        shift.in_parallel(on_first, on_second)

    def _network_cut(self, first: shift.Post, second: shift.Post, cable: Cable) -> None:
        """Taps go on without the back office; one card is torn and does not come back to that bus."""
        self._say("拔掉网线：刷卡照常", "pulling the network cable: taps go on")
        cable.pull()
        gone = self._riders[TORN_AND_GONE]

        def on_first() -> None:
            self._all(first, [rider for rider in self._riders[10:20] if rider is not gone])
            first.tap(gone, Faults(tear_at=["debit:after"]))

        shift.in_parallel(on_first, lambda: self._all(second, self._riders[30:40]))
        self._say("插回网线", "plugging the network cable in again")
        cable.plug()

    def _afternoon(self, first: shift.Post, second: shift.Post) -> None:
        """Riders change buses; the card that was torn on the first bus is seen on the second."""
        self._say("下午：乘客换乘另一路车", "afternoon: riders change buses")
        shift.in_parallel(
            lambda: self._all(first, self._riders[20:25]),
            lambda: self._all(second, [self._riders[TORN_AND_GONE], *self._riders[0:3], *self._riders[15:18]]),
        )

    def _torn_and_back(self, post: shift.Post, rider: Rider) -> None:
        self._say("一张卡在扣款应答前被拿走", "a card is torn away between DEBIT and its answer, and comes back")
        post.tap(rider, Faults(tear_at=["debit:after"]))
        self._all(post, [rider])

    def _all(self, post: shift.Post, riders: list[Rider]) -> None:
        for rider in riders:
            post.tap(rider)

    def _validator(self, place: Callable[[list[str]], list[str]]) -> Callable[[Bus], Program]:
        """Starts a bus's validator; `place` puts it where its pcscd is."""
        return lambda bus: Program(
            f"validator {bus.name}",
            place([*self._micropython, "-m", "boards.unix.main", str(bus.device_file)]),
            bus.folder / "validator.log",
            {"MICROPYPATH": self._firmware},
        )

    def _held_together(
        self, figures: dict[str, Any], devices: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        """What clearing says beside what the cards say."""
        debited_fen = sum(rider.spent_fen for rider in self._riders)
        return {
            "balanced": debited_fen == figures["cleared_fen"] + figures["open_fen"] and not figures["problems"],
            "debited_fen": debited_fen,
            "riders": len(self._riders),
            "seconds": round(seconds, 1),
            "db": str(self.centre.db),
            "devices": devices,
            **figures,
        }


def _psam(bus: Bus) -> Any:
    return psam_image(
        TEST_MASTERS, bus.terminal, issuer=ISSUERS[0].identifier, start=START, expiry=EXPIRY, start_counter=1
    )


def _soft_sam(bus: Bus) -> dict[str, Any]:
    """Issuer-level test keys for a validator without a SAM slot."""
    ciphers = suite(0)
    storage_key = secrets.token_bytes(32)
    blob = make_blob(
        storage_key,
        _aes_cbc_encrypt,
        secrets.token_bytes(16),
        {issuer.identifier: ciphers.diversify(TEST_MASTERS.purchase, issuer.identifier) for issuer in ISSUERS},
        bus.terminal,
        1,
        START,
        EXPIRY,
    )
    return {"driver": "soft", "blob": blob, "storage_key": storage_key}


def _aes_cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()
