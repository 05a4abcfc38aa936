"""The back office as its clerks run it: the `ykt backoffice` command, a database file and a vault file."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.personalise import TEST_MASTERS
from simulator.rig.keyroom import SCHEME, KeyRoom
from simulator.rig.program import Program, RigFault
from simulator.rig.provision import AUDIENCE, Bus, write_registry

START_WAIT_S = 30.0
CLERK_WAIT_S = 120.0
PASSPHRASE = "demo"         # of a vault that holds test keys only
Clerk = Callable[[list[str]], str]      # runs a command line of `ykt`; returns what it prints, raises RigFault
_YKT = (sys.executable, "-m", "tools.cli")
PASSPHRASE_ENV = {"YKT_VAULT_PASSPHRASE": PASSPHRASE}


class Centre:
    """One back office in `folder`. `prepare`, `open`, then `clear`; `close` or `kill` end it, `open` brings it back.

    clerk  runs one command of `ykt` and returns what it prints; the server is a process of its own in any case
    room   where its keys come from; None: a vault with the test keys of the sample cards
    """

    def __init__(self, folder: Path, clerk: Clerk | None = None, room: KeyRoom | None = None) -> None:
        self.folder = folder
        self._room = room
        self.env: dict[str, str] = dict(PASSPHRASE_ENV) if room is None else room.env
        self._run = clerk or self._as_process
        self.db = folder / "clearing.sqlite"
        self.vault = folder / "vault.bin" if room is None else room.vault
        self._keys: tuple[object, ...] = ("--vault", self.vault) if room is None else room.args
        self.facts: dict[str, Any] = {}
        self.server: Program | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.facts["url"].rpartition(":")[2])

    @property
    def pin(self) -> bytes:
        """SHA-256 of its public key, which devices are provisioned with."""
        return bytes.fromhex(self.facts["pin"])

    def prepare(self, fleet: tuple[Bus, ...], tariffs: bool = False) -> None:
        """Database, certificate, registry and keys. tariffs: those of the fleet stand in the registry."""
        self.folder.mkdir(parents=True)
        registry = self.folder / "registry.json"
        write_registry(registry, fleet, tariffs, sams=self._room is None)
        if self._room is not None:
            self._clerk("init", "--db", self.db, "--audience", AUDIENCE, "--org", registry, "--scheme", SCHEME)
            self.ceremony = self._room.ceremony(_device_keys(fleet))
            return
        keys = self.folder / "test-keys.json"
        keys.write_text(json.dumps(_test_keys(fleet), indent=2), encoding="utf-8")
        self._clerk("init", "--db", self.db, "--audience", AUDIENCE, "--org", registry)
        self._clerk("new", "--vault", self.vault, "--test", command="keys")
        self._clerk("load", "--vault", self.vault, "--keys", keys, command="keys")

    def open(self) -> None:
        """Start the server, on the port that it had before; returns when it accepts connections."""
        port = self.port if self.facts else 0
        argv = ("serve", "--db", self.db, *self._keys, "--port", port, "--json")
        self.server = Program("back office", _ykt(*argv), self.folder / "serve.log", self.env)
        self.facts = self.server.expect(lambda line: "url" in line, 0, START_WAIT_S, "its address")

    def close(self) -> None:
        """Stop the server."""
        if self.server is not None:
            self.server.stop()

    def kill(self) -> None:
        """SIGKILL; a server that does not run is none the worse."""
        if self.server is not None:
            self.server.kill()

    def clear(self) -> dict[str, Any]:
        """Verify, resolve and clear the present day; what `ykt backoffice clear --json` says."""
        figures: dict[str, Any] = json.loads(
            self._clerk("clear", "--db", self.db, *self._keys, "--json")
        )
        return figures

    def make_signing_key(self) -> bytes:
        """A key for parameter sets, made inside the vault; its public half, 65 bytes."""
        return bytes.fromhex(self._clerk("key", "new", "--vault", self.vault, command="fleet"))

    def publish(self, params: Path, scope: str, version: int, tariffs: bool = False) -> None:
        """What `ykt fleet params` does with a clerk's file: wang builds it, li approves and publishes it.

        tariffs  every device of the scope charges them
        """
        named = ("--db", self.db, "--scope", scope, "--version", version)
        build: tuple[object, ...] = ("params", "build", "--db", self.db, "--file", params, "--user", "wang")
        self._clerk(*build, *(["--tariffs"] if tariffs else []), command="fleet")
        self._clerk("params", "approve", *named, "--user", "li", command="fleet")
        self._clerk("params", "publish", *named, "--vault", self.vault, "--user", "li", command="fleet")

    def publish_list(self, numbers: Path, scope: str, name: str = "deny") -> tuple[int, list[int]]:
        """What `ykt fleet lists` does with a file of numbers: wang reads it in and builds, li approves and publishes.

        returns  its version, and the versions from which a delta leads to it
        """
        named: tuple[object, ...] = ("--db", self.db, "--scope", scope, "--name", name)
        self._clerk("lists", "import", *named, "--file", numbers, "--user", "wang", command="fleet")
        version = json.loads(self._clerk("lists", "build", *named, "--user", "wang", "--json", command="fleet"))
        named += ("--version", version["version"], "--user", "li")
        self._clerk("lists", "approve", *named, command="fleet")
        said = json.loads(self._clerk("lists", "publish", *named, "--vault", self.vault, "--json", command="fleet"))
        return said["version"], said["deltas_from"]

    def lists(self) -> list[dict[str, Any]]:
        """What `ykt fleet lists status --json` says."""
        rows: list[dict[str, Any]] = json.loads(
            self._clerk("lists", "status", "--db", self.db, "--json", command="fleet")
        )
        return rows

    def order(self, device_id: int, name: str, argument: int = 0) -> None:
        """What `ykt backoffice command` does: wang tells a device to do something, once."""
        self._clerk("command", "--db", self.db, "--user", "wang", device_id, name, argument)

    def orders(self) -> list[dict[str, Any]]:
        """What `ykt backoffice commands --json` says."""
        return [json.loads(line) for line in self._clerk("commands", "--db", self.db, "--json").splitlines()]

    def devices(self) -> dict[str, Any]:
        """What `ykt backoffice device list --json` says."""
        listed: dict[str, Any] = json.loads(self._clerk("device", "list", "--db", self.db, "--json"))
        return listed

    def accept(self, device_id: int, epoch: int) -> None:
        """What `ykt backoffice device enrol` does with a journal that waits."""
        self._clerk("device", "enrol", "--db", self.db, "--id", device_id, "--epoch", f"{epoch:08X}", "--user", "li")

    def rides(self) -> dict[str, Any]:
        """What `ykt backoffice rides --json` says."""
        found: dict[str, Any] = json.loads(self._clerk("rides", "--db", self.db, "--json"))
        return found

    def coverage(self) -> list[dict[str, Any]]:
        """What `ykt fleet params status --json` says."""
        rows: list[dict[str, Any]] = json.loads(
            self._clerk("params", "status", "--db", self.db, "--json", command="fleet")
        )
        return rows

    def _clerk(self, *argv: object, command: str = "backoffice") -> str:
        return self._run([command, *map(str, argv)])

    def _as_process(self, argv: list[str]) -> str:
        """As a clerk's shell runs it. Raises RigFault with its refusal."""
        done = subprocess.run(
            [*_YKT, *argv], capture_output=True, text=True, timeout=CLERK_WAIT_S, env={**os.environ, **self.env}
        )
        if done.returncode:
            raise RigFault(f"ykt {' '.join(argv[:2])} refused: {done.stderr.strip()}")
        return done.stdout


def _ykt(*argv: object, command: str = "backoffice") -> list[str]:
    return [*_YKT, command, *map(str, argv)]


def _test_keys(fleet: tuple[Bus, ...]) -> dict[str, Any]:
    """What the vault takes in: the TAC root of the test cards, and a key for each device."""
    root = _key("tac-root", "tac", "3DES", "province", "", TEST_MASTERS.tac)
    return {"test": True, "about": "invented for the demo", "keys": [root, *_device_keys(fleet)]}


def _device_keys(fleet: tuple[Bus, ...]) -> list[dict[str, str]]:
    return [_key(f"device-{bus.device_id}", "device", "HMAC", "device", str(bus.device_id), bus.key) for bus in fleet]


def _key(key_id: str, purpose: str, algorithm: str, level: str, subject: str, value: bytes) -> dict[str, str]:
    return {
        "key_id": key_id, "purpose": purpose, "algorithm": algorithm, "level": level, "subject": subject,
        "value": value.hex(),
    }  # fmt: skip
