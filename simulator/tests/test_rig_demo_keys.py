"""After a full demo no key of it is found in any file, log, database or on a terminal; no card number in any log.

What may hold a key is named here, with the reason.
"""

import shutil
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from backoffice.keys import ceremony_plan, components, hierarchy, vault
from backoffice.keys.backend import KeyPath
from backoffice.keys.ceremony_unattended import PASSPHRASE, draw_of
from backoffice.keys.components import XOR
from backoffice.tests.key_search import KeySearch, Leak, numbers_in
from simulator.rig.centre import SCHEME
from simulator.rig.keyroom import SAMPLES
from simulator.rig.riders import ISSUERS
from simulator.tests.demo_once import OVERHEARD, SEED, Ended, run_demo
from tunion import bcd

# File of the run, start of the key's name: why it is there.
ALLOWED = {
    ("bus-*/device.cbor", "device key of the bus"): "a device's own file provisions the key of its uploads",
    ("bus-*/device.cbor", "storage key of the bus"): "without a SAM slot the device's own file opens its soft SAM",
    ("centre/clearing.sqlite.tls-key.pem", "TLS"): "the server's key file, mode 0600",
}
# Who may hold a card's number. None of them is a log.
WITH_NUMBERS = (
    "centre/clearing.sqlite", "centre/clearing.sqlite-*",       # the books
    "centre/clearing.sqlite.numbers",       # which numbers were taken: no restored database gives one twice
    "bus-*/device.cbor", "bus-*/journal.nor",       # denied cards; what is to be uploaded
)  # fmt: skip


@dataclass
class Hunt:
    """What is looked for. A test that fails does not print it."""

    search: KeySearch
    keys: dict[str, bytes] = field(repr=False)      # by name; one key may have several
    numbers: set[str] = field(repr=False)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run_demo(tmp_path_factory)


@pytest.fixture(scope="module")
def hunt(ended: Ended) -> Hunt:
    keys = dict(_all_keys(ended))
    texts = {"the vault's passphrase": ended.demo.room.env["YKT_VAULT_PASSPHRASE"], "of custodians": PASSPHRASE}
    numbers = {bcd.to_digits(rider.serial)[1:] for rider in ended.demo.riders}
    assert len(numbers) == len(ended.demo.riders)
    return Hunt(KeySearch(keys, texts), keys, numbers)


def _all_keys(ended: Ended) -> Iterator[tuple[str, bytes]]:
    """Every key of the run by a name; the value of a name that comes twice is the same."""
    room, centre = ended.demo.room, ended.folder / "centre"
    secret = room.env["YKT_VAULT_PASSPHRASE"].encode()
    opened = vault.open_vault(room.vault, secret)
    wrap_and_seal = vault._derived(secret, opened._salt)
    yield "what wraps the vault's keys", wrap_and_seal[:32]
    yield "what seals the vault", wrap_and_seal[32:]
    scheme = hierarchy.scheme(SCHEME)
    db = sqlite3.connect(room.vault.with_name("clearing.sqlite"))
    chips = [bytes.fromhex(serial) for (serial,) in db.execute(
        "SELECT chip_serial FROM card UNION SELECT chip FROM sam WHERE chip IS NOT NULL AND chip <> ''")]  # fmt: skip
    db.close()
    for info in opened.infos():
        if info.purpose == "device":
            name = next(post.bus.name for post in ended.demo.depot.posts if str(post.bus.device_id) == info.subject)
            yield f"device key of the bus {name}", opened._at(KeyPath(info.key_id))
        elif info.purpose in hierarchy.OF_CARDS:
            for issuer in ISSUERS:
                factors = scheme.below(info.level, issuer.identifier)
                for depth in range(len(factors) + 1):
                    at = KeyPath(info.key_id, factors[:depth])
                    yield f"{info.key_id} {depth} below, issuer {issuer.org}", opened._at(at)
            for rider in ended.demo.riders:
                down = (*scheme.below(info.level, rider.issuer.identifier), rider.serial[2:])
                yield f"{info.key_id} of card {rider.number}", opened._at(KeyPath(info.key_id, down))
        else:
            yield info.key_id, opened._at(KeyPath(info.key_id))
            for chip in chips:
                yield f"{info.key_id} of chip {chip.hex()}", opened._at(KeyPath(info.key_id, (chip,)))
    for name, value in room._storage.items():
        yield f"storage key of the bus {name}", value
    pem = load_pem_private_key((centre / "clearing.sqlite.tls-key.pem").read_bytes(), None)
    assert isinstance(pem, EllipticCurvePrivateKey)
    yield "TLS key of the server", pem.private_numbers().private_value.to_bytes(32, "big")
    draw = draw_of(SEED)
    for key in ceremony_plan.read(SAMPLES / "ceremony_plan.json").keys:
        if key.method == XOR:
            for custodian in key.custodians:
                yield f"{key.key_id}, part of {custodian}", draw(f"{key.key_id} {custodian}")
        else:
            yield f"{key.key_id}, as drawn", draw(key.key_id)


def _files(ended: Ended) -> list[Path]:
    return sorted(path for path in ended.folder.rglob("*") if path.is_file())


def _not_allowed(ended: Ended, path: Path, leaks: set[Leak]) -> set[Leak]:
    """What is found in a file and has no reason; of keys of buses only its own may be there."""
    place = path.relative_to(ended.folder)
    bus = place.parts[0].removeprefix("bus-")
    for pattern, start in ALLOWED:
        if place.match(pattern):
            start += f" {bus}" if start.endswith("the bus") else ""
            leaks = {leak for leak in leaks if not leak.key.startswith(start)}
    return leaks


def test_the_hunt_knows_the_keys_that_the_chips_have(ended: Ended, hunt: Hunt):
    """Else it would look for keys that nobody uses."""
    names = {key: name for name, key in hunt.keys.items()}
    held = {key.value for rider in ended.demo.riders for keys in rider.card.image.keys.values() for key in keys}
    assert len(held) >= 4 * len(ended.demo.riders)
    assert all(key in names for key in held), "a card has a key that this does not look for"
    for chip in ended.demo.room._psams.values():
        assert chip.image.psam is not None
        in_psam = {key.value for keys in chip.image.psam.keys.values() for key in keys}
        assert len(in_psam) >= 2
        assert all(key in names for key in in_psam), "a PSAM has a key that this does not look for"
    assert len(names) > 400


def test_no_key_is_in_any_file_of_the_demo(ended: Ended, hunt: Hunt):
    started_s = time.monotonic()
    files = _files(ended)
    names = {str(path.relative_to(ended.folder)) for path in files}
    for name in ("clearing.sqlite", "serve.log", "vault.bin", "vault.bin.audit", "ceremony.state", "minutes.pdf"):
        assert f"centre/{name}" in names
    found = {path: _not_allowed(ended, path, hunt.search.in_(path.read_bytes())) for path in files}
    assert {str(path): leaks for path, leaks in found.items() if leaks} == {}
    print(f"{len(files)} files, {len(hunt.search)} pieces, {time.monotonic() - started_s:.1f} s")


def test_each_exception_is_needed(ended: Ended, hunt: Hunt):
    """An allowance that nothing uses would hide the next leak."""
    for pattern, start in ALLOWED:
        found = [hunt.search.in_(path.read_bytes()) for path in ended.folder.glob(pattern)]
        assert any(leak.key.startswith(start) for leaks in found for leak in leaks), (pattern, start)


def test_nobody_said_a_key(ended: Ended, hunt: Hunt):
    assert any(name.startswith("ykt cards make") for name in ended.said) and "A-101" in ended.said
    assert OVERHEARD in ended.said["stdout and stderr of all"]
    assert {name: leaks for name, text in ended.said.items() if (leaks := hunt.search.in_(text))} == {}


def test_no_card_number_is_in_a_log_or_was_said(ended: Ended, hunt: Hunt):
    logs = {
        str(path.relative_to(ended.folder)): path.read_bytes() for path in _files(ended)
        if not any(path.relative_to(ended.folder).match(pattern) for pattern in WITH_NUMBERS)
    }  # fmt: skip
    assert "centre/serve.log" in logs and "centre/vault.bin.audit" in logs
    found = {name: numbers_in(text, hunt.numbers) for name, text in {**logs, **ended.said}.items()}
    assert {name: len(numbers) for name, numbers in found.items() if numbers} == {}
    (number, *_) = hunt.numbers
    for told in (number, f"{number[:4]} {number[4:8]}-{number[8:]}", number.encode("utf-16").decode("latin-1")):
        assert numbers_in(b"line\n0" + told.encode("latin-1") + b" paid", hunt.numbers) == {number}


def _grouped(key: bytes) -> bytes:
    text = key.hex().upper()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4)).encode()


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda key: key,
    "hex": lambda key: key.hex().encode(),
    "hex in capitals": lambda key: key.hex().upper().encode(),
    "hex in groups of 4": _grouped,
    "hex with colons": lambda key: key.hex(":").encode(),
    "hex in a C source": lambda key: ", ".join(f"0x{byte:02X}" for byte in key).encode(),
    "base64": b64encode,
    "base64, one byte before": lambda key: b64encode(b"x" + key),
    "base64, two bytes before": lambda key: b64encode(b"xy" + key),
    "base64 for URLs": lambda key: b64encode(key, b"-_"),
    "UTF-16": lambda key: key.hex().encode().decode().encode("utf-16"),
    "UTF-16, the other end first": lambda key: key.hex().encode().decode().encode("utf-16-be"),
    "halves swapped": lambda key: key[len(key) // 2 :] + key[: len(key) // 2],
    "halves swapped, hex": lambda key: (key[len(key) // 2 :] + key[: len(key) // 2]).hex().encode(),
    "backwards": lambda key: key[::-1],
    "half of it": lambda key: key[:8],
    "repr": lambda key: repr(key).encode(),
    "a list of numbers": lambda key: str(list(key)).encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_key_in_a_log_is_found(ended: Ended, hunt: Hunt, tmp_path: Path, way: str):
    """In the middle of a copied log, each kind of key."""
    log = shutil.copy(ended.folder / "centre" / "serve.log", tmp_path)
    whole = Path(log).read_bytes()
    middle = whole.index(b"\n", len(whole) // 2) + 1
    kinds = ("what wraps", "device key", "storage key", "tac-1 0 below", "tac-1 1 below", "tac-1 2 below",
             "purchase-1-v2 of card 43", "control-1 of chip", "load-1, part of")  # fmt: skip
    for kind in kinds:
        name, key = next(one for one in hunt.keys.items() if one[0].startswith(kind))
        Path(log).write_bytes(whole[:middle] + b"key " + WAYS[way](key) + b"\n" + whole[middle:])
        found = {hunt.keys[leak.key] for leak in hunt.search.in_(Path(log).read_bytes())}
        assert found == {key}, f"{name} was written there: {way}"


def test_a_passphrase_and_a_share_in_a_log_are_found(hunt: Hunt):
    share = components.split(bytes(range(16)), 3, 2)[0]
    for text in (share, share.upper(), share.replace(" ", "\n"), "\n".join(components.show("slip39", share))):
        assert {leak.key for leak in hunt.search.in_(f"he typed {text}.".encode())} == {"a share of SLIP-39"}
    words = share.split()
    assert not hunt.search.in_(" ".join([*words[1:], words[0]]).encode())
    for written in (PASSPHRASE.encode(), PASSPHRASE.encode("utf-16"), b64encode(PASSPHRASE.encode())):
        assert {leak.key for leak in hunt.search.in_(b"with " + written)} == {"of custodians"}
