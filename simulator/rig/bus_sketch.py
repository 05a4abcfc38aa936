"""A validator without reader and SAM: journal, sync and commands as they run on a bus, over flash in memory.

A tap is its claim and its outcome in the journal; the passenger is told when the outcome is durable.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

from simulator.network import Link, Network
from simulator.rig.ram_flash import PowerCut, RamFlash
from tunion import bcd, cbor
from tunion.wire import tap
from validator.commands import Commands
from validator.journal import Journal
from validator.log import Log
from validator.ring import JournalFull
from validator.settings import Settings
from validator.sync import Sync
from validator.telemetry import CountingPanel, Health

AUDIENCE = "office.sample.invalid"
SECTORS, SECTOR_BYTES = 24, 2048
ISSUER = bytes.fromhex("04026110ffffffff")
TERMINAL = bytes.fromhex("611000000042")
JUMPS_MS = (-86_400_000, -90_000, -700, -300, 300, 900, 65_000, 7_200_000, 3_000_000_000)
CUT_BYTES_MAX = 400     # ahead: within the next three entries or so


def device_key(device_id: int) -> bytes:
    """A test key, 32 bytes."""
    return hashlib.sha256(b"rig device %d" % device_id).digest()


class RtcClock:
    """The Clock port over the network's true time. Ticks begin anew with each boot; the RTC goes on, or jumps."""

    def __init__(self, network: Network, start_ms: int) -> None:
        self._network = network
        self._rtc_ms = start_ms
        self._boot_ms = 0
        self._synced = False

    def boot(self) -> None:
        self._boot_ms = self._network.now_ms
        self._synced = False

    def jump(self, by_ms: int) -> None:
        self._rtc_ms += by_ms

    def now_ms(self) -> int:
        return self._rtc_ms + self._network.now_ms

    def now_s(self) -> int:
        return max(0, min(0xFFFFFFFF, self.now_ms() // 1000))

    def quality(self) -> int:
        return 3 if self._synced else 1

    def step(self, by_ms: int) -> None:
        self._rtc_ms += by_ms
        self._synced = True

    slew = step

    def drifts(self, ppm: int) -> None:
        pass

    def ticks_ms(self) -> int:
        return self._network.now_ms - self._boot_ms

    def since_ms(self, then_ms: int) -> int:
        return self.ticks_ms() - then_ms


class Kept:
    """The Keep port."""

    def __init__(self) -> None:
        self._blob = b""

    def load(self) -> bytes:
        return self._blob

    def save(self, blob: bytes) -> None:
        self._blob = blob


class NoPanel:
    def show(self, what: str, **details: "int | str") -> None:
        """Nobody looks."""


class Sketch:
    """One bus.

    begun        cards whose claim may be in flash
    told         cards whose passenger was told that the ride is paid
    lost         cards that were told, and went with a flash before the office had them
    """

    def __init__(self, device_id: int, network: Network, chance: random.Random, start_ms: int) -> None:
        self.device_id = device_id
        self.begun: set[str] = set()
        self.told: set[str] = set()
        self.lost: set[str] = set()
        self.lost_epochs: list[int] = []
        self.cuts = 0
        self.reboots = 0
        self._chance = chance
        self._settings = Settings(cbor.encode(_settings(device_id)))
        self._clock = RtcClock(network, start_ms)
        self._link = Link(network, AUDIENCE)
        self._keep = Kept()
        self._flash = RamFlash(SECTORS, SECTOR_BYTES)
        self._calm = False
        self._taps = 0
        self._card = False
        self._boot()

    def turn(self) -> None:
        """As the validator's turn, without a card or with one."""
        self._card = not self._calm and self._chance.randrange(4) == 0
        self._powered(self._work)
        if self._commands.reboot:
            self.reboots += 1
            self.power_cut()

    def tap(self) -> None:
        """A passenger. What becomes of the claim is up to chance; a full journal refuses him."""
        self._powered(self._serve)

    def cut_soon(self) -> None:
        """The power will fail within some bytes that are written."""
        self._flash.cut_after = self._chance.randrange(CUT_BYTES_MAX)

    def power_cut(self) -> None:
        """Now, between two writes."""
        self.cuts += 1
        self._boot()

    def jump_clock(self) -> None:
        self._clock.jump(self._chance.choice(JUMPS_MS))

    def lose_flash(self, paid: set[str], cuts: Sequence[int] = ()) -> None:
        """Another chip, blank. What only the old one had is gone: `paid` are the cards that the office knows paid.

        cuts   the power fails after so many bytes of the new chip, and then after so many more
        """
        self.lost |= self.told - paid
        self.lost_epochs.append(self._journal.epoch)
        self._flash = RamFlash(SECTORS, SECTOR_BYTES)
        self._flash.cuts = list(cuts)
        self._flash.cut_after = self._flash.cuts.pop(0) if cuts else None
        self._boot()

    def calm(self) -> None:
        """No more trouble: cards have gone, claims without an answer are given up."""
        self._calm = True
        self._flash.cut_after = None
        self._flash.cuts = []

    def is_done(self) -> bool:
        """All that the journal holds is in the office."""
        return self._sync.is_drained() and not self._journal.open_claims()

    # -- inside -------------------------------------------------------------------------------------------------

    def _powered(self, work: Any) -> None:
        try:
            work()
        except PowerCut:
            self.cuts += 1
            self._boot()

    def _boot(self) -> None:
        """Until it comes up: the power may fail in a boot too."""
        while True:
            self._link.power_cut()
            self._clock.boot()
            try:
                self._wire_up()
                return
            except PowerCut:
                self.cuts += 1

    def _wire_up(self) -> None:
        chance = self._chance
        self._journal = Journal(self._flash, self._clock, lambda: chance.randrange(1, 1 << 32))
        log = Log(self._clock)
        health = Health(self._clock)
        panel = CountingPanel(NoPanel(), health, log)
        self._commands = Commands(
            self.device_id, self._journal, self._clock, panel, log, self._keep, lambda: 0
        )
        self._sync = Sync(
            self._link,
            self._journal,
            self._clock,
            panel,
            self._settings,
            {"firmware": "rig"},
            chance.randrange,
            lambda: 100_000,
            self._commands,
            health,
            log,
        )
        log.note("boot", self.cuts)

    def _work(self) -> None:
        self._sync.hurry = self._calm
        for _ in range(3):
            self._sync.step(self._card)
        if not self._card:
            self._journal.idle()
        for claim in self._journal.open_claims():
            if self._calm or self._chance.randrange(20) == 0:
                self._come_back(claim)

    def _come_back(self, claim: Any) -> None:
        """The card of an open claim comes back and proves its debit, or is given up."""
        card = claim.card.hex()
        try:
            if self._chance.randrange(2):
                claim.prove(b"\x01\x02\x03\x04", tap.MAC2_UNCHECKED)
                self.told.add(card)
            else:
                claim.give_up()
        except JournalFull:
            return

    def _serve(self) -> None:
        self._taps += 1
        card = b"\x03\x10" + bcd.from_digits(f"{self.device_id:08d}{self._taps:08d}")
        kind = self._chance.randrange(10)
        try:
            self.begun.add(card.hex())
            claim = self._journal.claim(**_fields(card, self._clock.now_s(), self._clock.quality(), self._taps))
            if kind < 7:
                claim.settle(b"\x01\x02\x03\x04", tap.MAC2_OK)
                self.told.add(card.hex())
            elif kind == 7:
                claim.void(0x9302)
            elif kind == 8:
                claim.give_up()
                if self._chance.randrange(2):
                    claim.prove(b"\x01\x02\x03\x04", tap.MAC2_UNCHECKED)
                    self.told.add(card.hex())
        except JournalFull:
            return


def _fields(card: bytes, at_s: int, clk_q: int, number: int) -> dict[str, Any]:
    return {
        "at_s": at_s, "clk_q": clk_q, "type": 6, "industry": 2, "card": card, "issuer": ISSUER, "city": b"\x61\x10",
        "card_kind": 1, "counter": 18, "balance_fen": 5000, "limit_fen": 0, "amount_fen": 200, "list_fen": 200,
        "discount_fen": 0, "terminal": TERMINAL, "terminal_seq": number, "key_index": 1, "key_version": 1,
        "algorithm": 0, "fare_id": 1, "fare_version": 1, "line": 11, "stop_in": 0, "stop_out": 0, "driver": 7,
        "vehicle": 9, **tap.FLAT,
    }  # fmt: skip


def _settings(device_id: int) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "key": device_key(device_id),
        "host": AUDIENCE,
        "server": {"address": "127.0.0.1", "port": 1, "pin": bytes(32)},
        "reader": {"driver": "pcsc", "name": "none"},
        "sam": {"driver": "psam", "name": "none"},
        "flash": {"path": "none"},
        "fare": {"fare_id": 1, "version": 1, "fare_fen": 200, "discounts": []},
        "home_issuers": [],
        "issuers": [],
    }
