"""The key room of the rig: a test ceremony without people, SAMs ordered, made and linked, a roll-over. All through
`ykt keys`, into a software vault or a PKCS#11 token.
"""

import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backoffice.keys import ceremony_plan
from simulator.blank import TEST_TRANSPORT, BlankPsam, blanks
from simulator.pcscd import Pcscd
from simulator.rig.program import RigFault
from simulator.rig.provision import Bus
from simulator.rig.riders import ISSUERS
from simulator.rig.window import Window
from simulator.vpcd import VpcdSlot

VAULT, PKCS11 = "vault", "pkcs11"
KEYS = (VAULT, PKCS11)
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
SCHEME = "three_steps"      # nation, province, issuer, card: a token can then wrap a province's key for a PSAM
PSAM_PROFILE = "sample_psam_aes"
SAMPLES = Path(ceremony_plan.__file__).parents[1] / "samples"
ORDERS, APPROVES, MAKES, TAKES = "wang", "li", "zhao", "sun"        # no two-person act by one of them
START, EXPIRY = "2024-01-01", "2035-12-31"
ROLLED = ("purchase", "load", "tac")        # the maintenance key has version 2 already, which validators ask for


class KeyRoom:
    """Keys in `folder`. `args` names them on a command line, `env` opens them.

    kind  VAULT or PKCS11: then the vault beside the token keeps what it lacks
    seed  of the test keys
    """

    def __init__(self, folder: Path, kind: str, seed: int) -> None:
        self._folder = folder
        self.kind = kind
        self._seed = seed
        self.vault = folder / "vault.bin"
        self.env = {"YKT_VAULT_PASSPHRASE": secrets.token_hex(16)}
        self.args: tuple[object, ...] = ("--vault", self.vault)
        if kind == PKCS11:
            self._token = folder / "token.json"
            self.args = ("--token", self._token, *self.args)
            self.env.update(
                YKT_TOKEN_PIN=secrets.token_hex(6), YKT_TOKEN_SO_PIN=secrets.token_hex(6),
                SOFTHSM2_CONF=str(folder / "softhsm2.conf"),
            )  # fmt: skip
        self.minutes = folder / "minutes.pdf"
        self.sam_no: dict[str, str] = {}                # of each bus, by its name
        self._storage: dict[str, bytes] = {}
        self._psams: dict[str, BlankPsam] = {}

    def ceremony(self, device_keys: Sequence[dict[str, str]]) -> dict[str, Any]:
        """Make vault and token; hold the ceremony; take in the vendor's transport key and the devices' keys."""
        with Window(env=self.env) as window:
            window.run("keys", "new", "--vault", self.vault, "--test")
            if self.kind == PKCS11:
                self._make_token(window)
            done: dict[str, Any] = json.loads(
                window.run(
                    "keys", "ceremony", "run", *self.args, "--plan", SAMPLES / "ceremony_plan.json", "--state",
                    self._folder / "ceremony.state", "--minutes", self.minutes, "--test", "--unattended", "--seed",
                    self._seed, "--json",
                )
            )  # fmt: skip
            window.run("keys", "load", *self.args, "--keys", SAMPLES / "vendor_keys.json")
            self._load(window, device_keys)
        return done

    def make_psams(self, db: Path, pcscd: Pcscd, reader: str, fleet: Sequence[Bus]) -> None:
        """A PSAM for each bus, made on `reader`, and linked to it."""
        slot = VpcdSlot(pcscd.ports[pcscd.readers.index(reader)])
        with Window(pcscd.command, self.env) as window:
            for number, bus in enumerate(fleet):
                batch = self._order(window, db, "psam", [bus], "--profile", PSAM_PROFILE)
                (chip,) = blanks(1, PSAM_PROFILE, TEST_TRANSPORT, 0x500 + number)
                assert isinstance(chip, BlankPsam)
                slot.insert(chip)
                try:
                    said = window.run(
                        "keys", "sams", "make", "--db", db, *self.args, "--user", MAKES, "--batch", batch, "--reader",
                        reader, "--json",
                    )  # fmt: skip
                finally:
                    slot.remove()
                made = json.loads(said.splitlines()[0])
                self._psams[bus.name] = chip
                self._given(bus, made["sam_no"], made["terminal"])
                self._deliver(window, db, batch, [bus])

    def make_soft_sams(self, db: Path, fleet: Sequence[Bus]) -> None:
        """A soft SAM for each bus, made for it and linked to it."""
        with Window(env=self.env) as window:
            for operator in sorted({bus.operator for bus in fleet}):
                own = [bus for bus in fleet if bus.operator == operator]
                batch = self._order(window, db, "soft", own)
                for bus in own:
                    said = self._blob(window, db, bus, "--batch", batch, "--device", bus.device_id)
                    self._given(bus, said["sam_no"], said["terminal"])
                self._deliver(window, db, batch, own)

    def psam(self, bus: Bus) -> BlankPsam:
        """The chip that was made into the bus's PSAM."""
        return self._psams[bus.name]

    def soft_sam(self, bus: Bus) -> dict[str, Any]:
        """What a device file says of the bus's soft SAM."""
        return {
            "driver": "soft", "blob": self._blob_file(bus).read_bytes(), "storage_key": self._storage[bus.name],
        }  # fmt: skip

    def new_version(self, db: Path, pcscd: Pcscd, reader: str, fleet: Sequence[Bus]) -> None:
        """Version 2 of purchase, load and TAC key, written into every SAM: at the depot, while the shift rests."""
        slot = VpcdSlot(pcscd.ports[pcscd.readers.index(reader)])
        with Window(pcscd.command, self.env) as window:
            by = (*self.args, "--user", ORDERS)
            named = [word for purpose in ROLLED for word in ("--purpose", purpose)]
            window.run("keys", "roll", "make", *by, *named)
            window.run("keys", "roll", "activate", *by, "--version", 2, *named)
            for bus in fleet:
                if bus.name in self._psams:
                    slot.insert(self._psams[bus.name])
                    try:
                        window.run(
                            "keys", "sams", "update", "--db", db, *self.args, "--user", MAKES, "--reader", reader
                        )
                    finally:
                        slot.remove()
                else:
                    self._blob_file(bus).unlink()
                    self._blob(window, db, bus, "--sam", self.sam_no[bus.name])
            window.run("keys", "roll", "issue", *by, "--version", 2, "--db", db)

    def end_version(self, db: Path, *purposes: str) -> None:
        """Version 1 makes nothing new any more; what it made is proved as before."""
        with Window(env=self.env) as window:
            named = [word for purpose in purposes for word in ("--purpose", purpose)]
            window.run("keys", "roll", "verify-only", *self.args, "--user", ORDERS, "--version", 1, "--db", db, *named)

    def stock(self, db: Path) -> dict[str, int]:
        """What `ykt keys sams stock` counts, over all operators. Raises RigFault where it does not balance."""
        with Window(env=self.env) as window:
            said = json.loads(window.run("keys", "sams", "stock", "--db", db, "--json"))
        if not said["balanced"]:
            raise RigFault(f"the stock of SAMs does not balance: {said}")
        counts = [{name: count for name, count in row.items() if type(count) is int} for row in said["rows"]]
        return {name: sum(row[name] for row in counts) for name in counts[0]}

    def _make_token(self, window: Window) -> None:
        tokens = self._folder / "tokens"
        tokens.mkdir()
        config = f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        (self._folder / "softhsm2.conf").write_text(config)
        window.run("keys", "token", "init", "--token", self._token, "--module", SOFTHSM, "--label", "demo", "--test")

    def _load(self, window: Window, keys: Sequence[dict[str, str]]) -> None:
        """Keys of devices into the vault: a token has no place for thousands."""
        path = self._folder / "device-keys.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"test": True, "about": "invented for the demo", "keys": list(keys)}, file)
        try:
            window.run("keys", "load", "--vault", self.vault, "--keys", path)
        finally:
            path.unlink()

    def _order(self, window: Window, db: Path, kind: str, fleet: Sequence[Bus], *more: object) -> int:
        """An approved order for the buses, all of one operator; its batch."""
        bus = fleet[0]
        issuer = next(issuer for issuer in ISSUERS if issuer.org == bus.acquirer)
        said = window.run(
            "keys", "sams", "order", "--db", db, *self.args, "--user", ORDERS, "--kind", kind, "--operator",
            bus.operator, "--acquirer", bus.acquirer, "--quantity", len(fleet), "--issuer",
            issuer.identifier.hex().upper(), "--start", START, "--expiry", EXPIRY, *more, "--json",
        )  # fmt: skip
        order = json.loads(said)["order"]
        said = window.run("keys", "sams", "approve", "--db", db, "--user", APPROVES, "--order", order, "--json")
        return int(json.loads(said)["batches"][0]["batch"])

    def _blob(self, window: Window, db: Path, bus: Bus, *which: object) -> dict[str, Any]:
        """Make or renew the bus's soft SAM."""
        storage = self._storage.setdefault(bus.name, secrets.token_bytes(32))
        storage_file = self._folder / f"storage-{bus.name}.key"
        storage_file.write_text(storage.hex())
        others = [word for issuer in ISSUERS for word in ("--also", issuer.identifier.hex().upper())]
        try:
            said: dict[str, Any] = json.loads(
                window.run(
                    "keys", "sams", "soft", "--db", db, *self.args, "--user", MAKES, *which, *others,
                    "--storage-key-file", storage_file, "--out", self._blob_file(bus), "--json",
                )
            )  # fmt: skip
        finally:
            storage_file.unlink()
        return said

    def _blob_file(self, bus: Bus) -> Path:
        return self._folder / f"soft-{bus.name}.blob"

    def _given(self, bus: Bus, sam_no: str, terminal: str) -> None:
        self.sam_no[bus.name] = sam_no
        bus.terminal = bytes.fromhex(terminal)

    def _deliver(self, window: Window, db: Path, batch: int, fleet: Sequence[Bus]) -> None:
        """To the operator, and into the buses, by two people each."""
        by: Callable[[str, str], tuple[object, ...]] = lambda what, user: (  # noqa: E731
            "keys", "sams", what, "--db", db, "--user", user
        )
        box = json.loads(window.run(*by("ship", MAKES), "--batch", batch, "--json"))["box"]
        window.run(*by("receive", TAKES), "--box", box, "--all")
        for bus in fleet:
            for user in (TAKES, APPROVES):
                window.run(*by("link", user), "--sam", self.sam_no[bus.name], "--device", bus.device_id)
