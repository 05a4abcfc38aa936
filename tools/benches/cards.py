"""cards.personalise: cards a minute on one reader of the real pcscd, against the same APDUs replayed bare on it.

`python -m tools.benches.cards replay READER` is the other half of it, in the namespace of that pcscd: APDUs in hex come
on stdin, the milliseconds of their exchanges go to stdout.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backoffice.cards import making
from backoffice.cards import product as products
from backoffice.keys import soft, vault
from backoffice.keys.backend import KeyInfo
from backoffice.store import cards, engine
from backoffice.store.engine import Store
from simulator.blank import BlankImage, blank_images, chip_of
from simulator.pcscd import Pcscd
from simulator.randomness import replay
from simulator.vpcd import VpcdSlot
from tools.bench import Figure
from tools.paths import ROOT
from tools.pcsc_line import PcscLine

PROFILE, PRODUCT = "sample_card_3des", "nanning_ordinary"
BATCH, FIRST, LAST = "bench", "3104840000000000001", "3104840000000009999"
CARDS = 12
PARALLEL = 2                # readers side by side, for the second figure
REPLAYS = 5
SECRET = b"bench"

# ISO/IEC 14443-4 at 106 kbit/s: 9 bits a byte, and around each frame PCB, two CRC bytes, start and end of frame, and
# the shortest pause before the other side may answer; a frame holds 256 bytes.
RF_BITS_PER_S, RF_BITS_A_BYTE, RF_BYTES_A_FRAME, RF_PAUSE_S = 106_000, 9, 4, 0.0001
# ISO/IEC 7816-3, T=0: 12 bit times a byte; a procedure byte, and where data come back GET RESPONSE after 61xx.
T0_BITS_PER_S, T0_BITS_A_BYTE, T0_PROCEDURE_BYTES, T0_GET_RESPONSE_BYTES = 38_400, 12, 1, 8


def personalise() -> Iterator[Figure]:
    """One reader and two; then the same work with the wire of a real reader in place of the virtual one's."""
    with tempfile.TemporaryDirectory() as name, Pcscd(readers=PARALLEL) as pcscd:
        company = _Company(Path(name))
        exchanges, image, randoms = company.rehearse()
        bare_ms = min(_replayed(pcscd, exchanges, image, randoms) for _ in range(REPLAYS))
        one_ms = company.made(pcscd, 1)
        both_ms = company.made(pcscd, PARALLEL)
    own_ms = max(0.0, one_ms - bare_ms)  # keys, books and Python: what is left when the wire is another
    bare = f"its {len(exchanges)} APDUs replayed bare on the reader"
    yield Figure("cards.personalise", _rate(one_ms), "a min", bare, _rate(bare_ms))
    yield Figure(f"cards.personalise.{PARALLEL}", PARALLEL * _rate(both_ms), "a min", f"{PARALLEL} x {bare}",
                 PARALLEL * _rate(bare_ms))  # fmt: skip
    for where, wire_ms in (("rf106", rf_ms(exchanges)), ("t0", t0_ms(exchanges))):
        yield Figure(f"cards.personalise.{where}", _rate(wire_ms + own_ms), "a min", "the wire alone", _rate(wire_ms))


def rf_ms(exchanges: list[tuple[bytes, bytes]]) -> float:
    """What the exchanges take on the air, the card's own time left out."""
    seconds = 0.0
    for pair in exchanges:
        for frame in pair:
            seconds += (len(frame) + RF_BYTES_A_FRAME) * RF_BITS_A_BYTE / RF_BITS_PER_S + RF_PAUSE_S
    return 1000 * seconds


def t0_ms(exchanges: list[tuple[bytes, bytes]]) -> float:
    """What they take on a contact line."""
    count = 0
    for apdu, answer in exchanges:
        count += len(apdu) + T0_PROCEDURE_BYTES + len(answer)
        count += T0_GET_RESPONSE_BYTES if len(apdu) > 5 and len(answer) > 2 else 0
    return 1000 * count * T0_BITS_A_BYTE / T0_BITS_PER_S


def _rate(card_ms: float) -> float:
    return 60_000 / card_ms


class _Company:
    """A database, a vault and a delivery of blanks."""

    def __init__(self, folder: Path) -> None:
        self.db, self.vault = folder / "bench.db", folder / "bench.vault"
        opened = vault.create(self.vault, SECRET, True)
        values = {purpose: secrets.token_bytes(16)
                  for purpose in ("purchase", "load", "tac", "maintenance", "transport", "control")}  # fmt: skip
        made, said = products.named(PRODUCT)
        for purpose, value in values.items():
            level = "chip" if purpose in ("transport", "control") else "province"
            version = made.version_of(purpose) if level == "province" else 1
            opened.put(KeyInfo(purpose, purpose, "3DES", level, "", vault.kcv("3DES", value), version), value)
        self.transport = values["transport"]
        self.serial = 1
        engine.create(self.db)
        store = Store(self.db)
        with store.transaction() as db:
            db.execute("INSERT INTO meta (key, value) VALUES ('production', '0')")
            cards.add_range(db, FIRST, LAST, made.issuer.hex().upper(), "bench", 0)
            cards.add_batch(db, {
                "batch": BATCH, "profile": PROFILE, "product": PRODUCT, "product_json": said, "vendor": "", "chip": "",
                "mask": "", "transport_version": 1, "control_version": 1, "kcv_set": "{}", "artwork_common": "a",
                "artwork_local": "b", "city": "6110", "operator": "bench", "start_s": 0, "end_s": None,
                "ordered": 1000,
            })  # fmt: skip
            cards.receive(db, BATCH, 1000, "bench", 0)
        store.close()

    def delivered(self, count: int) -> list[BlankImage]:
        self.serial += count
        return blank_images(count, PROFILE, self.transport, first_serial=self.serial - count)

    def rehearse(self) -> tuple[list[tuple[bytes, bytes]], BlankImage, list[bytes]]:
        """One card in this process: its exchanges, the blank, its random numbers."""
        store = Store(self.db)
        with store.reading() as db:
            work = making.work_of(db, BATCH)
        keys = soft.open_keys(self.vault, SECRET, False, "bench")
        (image,) = self.delivered(1)
        randoms: list[bytes] = []

        def random(size: int) -> bytes:
            randoms.append(secrets.token_bytes(size))
            return randoms[-1]

        line = _Tape(image.copy(), random)
        outcome = making.Maker(store, keys, work).make(line, making.Place("bench", "bench", "bench"))
        keys.close()
        store.close()
        if outcome.result != making.GOOD:
            raise AssertionError(f"a card was not good: {outcome.reason}")
        return line.exchanges, image, randoms

    def made(self, pcscd: Pcscd, readers: int) -> float:
        """Milliseconds a card on each of so many readers, from its first command to its place in stock."""
        names, ports = pcscd.readers[:readers], pcscd.ports[:readers]
        command = [sys.executable, "-m", "tools.cli", "cards", "make", "--db", str(self.db), "--vault", str(self.vault),
                   "--batch", BATCH, "--count", str(CARDS * readers), "--json"]  # fmt: skip
        command += [word for name in names for word in ("--reader", name)]
        slots = {name: VpcdSlot(port) for name, port in zip(names, ports, strict=True)}
        box = iter([chip_of(image) for image in self.delivered((CARDS + 1) * readers)])
        with subprocess.Popen(
            pcscd.command(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=_environment(YKT_VAULT_PASSPHRASE=SECRET.decode()),
        ) as process:  # fmt: skip
            assert process.stdout and process.stderr
            try:
                for slot in slots.values():
                    slot.insert(next(box))
                for said in process.stderr:
                    if not said.startswith("{"):
                        continue
                    slot = slots[json.loads(said)["reader"]]
                    slot.remove()
                    chip = next(box, None)
                    if chip is not None:
                        slot.insert(chip)
                answer = json.loads(process.stdout.read())
            finally:
                for slot in slots.values():
                    slot.remove()
        if answer["good"] != CARDS * readers:
            raise AssertionError(f"cards were not good: {answer}")
        card_ms: int = sum(one["card_ms"] for one in answer["readers"].values())
        return card_ms / (CARDS * readers)


class _Tape:
    """A line to a chip in this process that keeps what was said."""

    def __init__(self, image: BlankImage, random: Callable[[int], bytes]) -> None:
        self._chip = chip_of(image, random)
        self.exchanges: list[tuple[bytes, bytes]] = []

    def power_on(self) -> bytes:
        self._chip.power_off()
        self._chip.power_on()
        return self._chip.atr

    def transceive(self, apdu: bytes) -> bytes:
        answer = self._chip.transceive(apdu)
        self.exchanges.append((apdu, answer))
        return answer

    def power_off(self) -> None:
        self._chip.power_off()


def _replayed(
    pcscd: Pcscd, exchanges: list[tuple[bytes, bytes]], image: BlankImage, randoms: list[bytes]
) -> float:
    """The same bytes to the same blank, by somebody who does nothing else: ms."""
    slot = VpcdSlot(pcscd.port)
    slot.insert(chip_of(image.copy(), replay(randoms)))
    try:
        command = pcscd.command([sys.executable, "-m", "tools.benches.cards", "replay", pcscd.readers[0]])
        told = "".join(apdu.hex() + " " + answer.hex() + "\n" for apdu, answer in exchanges)
        done = subprocess.run(command, input=told, capture_output=True, text=True, cwd=ROOT, env=_environment())
    finally:
        slot.remove()
    if done.returncode:
        raise AssertionError(f"the replay failed: {done.stderr}")
    return float(done.stdout)


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}", **more}


def _replay(reader: str) -> None:
    exchanges = [tuple(map(bytes.fromhex, line.split())) for line in sys.stdin]
    with PcscLine(reader) as line:
        line.power_on()
        started_s = time.perf_counter()
        for apdu, answer in exchanges:
            if line.transceive(apdu) != answer:
                raise SystemExit("the chip answers otherwise than it did")
        print(1000 * (time.perf_counter() - started_s))


if __name__ == "__main__":
    _replay(sys.argv[2])
