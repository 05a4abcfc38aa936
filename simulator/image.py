"""The memory of a card and of a PSAM, and its JSON image. Every field: simulator/docs/image.md.

Images hold keys in the clear. They are for invented test keys, say so (`"test_keys": true`), and are refused
where they do not.
"""

import copy
import errno
import json
import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from simulator.jsonfield import Fields, ImageError
from tunion.card.files import HOLDER_BYTES, LOG_ENTRY, MANAGEMENT_BYTES, PUBLIC, tlv_find
from tunion.card.product import NATIONAL, serial_of
from tunion.card.sample_products import LEGACY, LEGACY_FILE_BYTES, LEGACY_SFI
from tunion.record import BadInput
from validator.applications import product_of

CARD_FORMAT = "yikatong-card/1"
PSAM_FORMAT = "yikatong-psam/1"

BALANCE_MAX_FEN = 0x7FFFFFFF        # bit 31 of a balance is reserved
LIMIT_MAX_FEN = 0xFFFFFF            # three bytes in the INITIALIZE answer
COUNTER_MAX = 0xFFFF
RECORD_BYTES_MAX = 128              # the longest a short APDU of this scheme writes
COMPOUND_RECORDS_MAX = 30           # of 1Ah: well above the 18 industries anybody has numbered

LOG, LOCAL, COMPOUND, HISTORY = 0x18, 0x19, 0x1A, 0x1E
# profile -> its product, and its transparent files: SFI -> bytes
NATIONAL_PROFILE, LEGACY_PROFILE = "JT/T 978", "sample legacy"
PROFILES = {NATIONAL_PROFILE: NATIONAL, LEGACY_PROFILE: product_of(LEGACY)}
LAYOUTS = {
    NATIONAL_PROFILE: {0x15: PUBLIC.size, 0x16: HOLDER_BYTES, 0x17: MANAGEMENT_BYTES},
    LEGACY_PROFILE: {LEGACY_SFI: LEGACY_FILE_BYTES},
}
CYCLIC = {LOG: (10, LOG_ENTRY.size), HISTORY: (30, 48)}        # SFI -> records, bytes of each
VARIABLE = (LOCAL, COMPOUND)

CARD_KEYS = ("purchase", "load", "tac", "maintenance")
PSAM_KEYS = ("purchase", "maintenance")
PSAM_KEYS_NEEDED = ("purchase",)    # without a maintenance key it blocks no card
BLOCKED_STATES = ("no", "application", "permanent", "card")

__all__ = ["CardImage", "CardSettings", "ImageError", "Key", "Proof", "PsamImage", "PsamSettings"]


@dataclass(frozen=True)
class Key:
    index: int
    version: int
    algorithm: int                  # 00 3DES, 04 SM4
    value: bytes = field(repr=False)


@dataclass(frozen=True)
class Proof:
    """What GET TRANSACTION PROVE answers for the last completed transaction."""

    type: int                       # 02, 06 or 09
    counter: int                    # after the increment
    mac2: bytes
    tac: bytes


@dataclass
class CardSettings:
    """Where real cards differ."""

    empty_record: str = "6A83"                  # or "00", "FF": a record never written
    blocked_select_sw: str = "6283"             # or "6284", "6A81"
    debit_without_cache: bool = True            # a compound DEBIT with no update before it
    mac1_tries: int = 0                         # wrong MAC1 in a row that block the application; 0: never
    balance_p1: tuple[int, ...] = (0, 1, 2, 3)
    wrong_le: str = "ignore"                    # or "6Cxx"
    select_by_fid: bool = True                  # else 6A86
    compound: bool = True                       # else 6A86: plain purchases only


@dataclass
class PsamSettings:
    """Where real PSAMs differ."""

    counter_advances_at: str = "8072"           # or "8070"
    pads_mac: bool = False
    levels: int = 2                             # derivation levels below the keys it holds
    mac2_tries: int = 0                         # wrong MAC2 in a row that lock it; 0: never
    get_response: bool = False                  # answer 61xx and wait for GET RESPONSE, as T=0 has it


class Image(ABC):
    def copy(self) -> Self:
        return copy.deepcopy(self)

    @abstractmethod
    def to_json(self) -> dict[str, Any]: ...

    def save(self, path: str | Path, fs: Any = os) -> None:
        """Replace the file at `path` whole: whoever reads it, or starts after a kill, finds the old or the new one.

        The rename is the moment of truth. What comes before may be cut anywhere.
        `fs` is the os module, or a test's stand-in that dies on the way.
        """
        path = Path(path)
        text = (json.dumps(self.to_json(), indent=2) + "\n").encode()
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            if fs.write(handle, text) != len(text):
                raise OSError(errno.ENOSPC, "the image does not fit the disk")
            fs.fsync(handle)
            fs.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        finally:
            os.close(handle)


@dataclass
class CardImage(Image):
    """Everything a card keeps without power."""

    aid: bytes
    fci: bytes
    files: dict[int, bytes]                     # SFI -> content, of the profile's layout
    records: dict[int, list[bytes]]             # SFI -> records; 18h and 1Eh newest first; b"" was never written
    balance_fen: int                            # true balance, negative when overdrawn
    limit_fen: int
    offline_counter: int
    online_counter: int
    keys: dict[str, list[Key]]
    uid: bytes | None = None                    # None: a new random one in every field
    historical: bytes = b""                     # historical bytes of ATS and ATR
    last_proof: Proof | None = None
    blocked: str = "no"
    mac1_failures: int = 0
    unblock_failures: int = 0
    settings: CardSettings = field(default_factory=CardSettings)
    profile: str = NATIONAL_PROFILE
    second: "CardImage | None" = None           # another application of the same card

    @property
    def serial(self) -> bytes:
        """Application serial number, 10 bytes BCD, as a tap has it."""
        return serial_of(PROFILES[self.profile], self.files)

    @property
    def layout(self) -> dict[int, int]:
        """SFI -> bytes of the transparent files."""
        return LAYOUTS[self.profile]

    @classmethod
    def load(cls, path: str | Path) -> "CardImage":
        """Read an image; raises ImageError naming file, field and cure."""
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls, value: Any, where: str = "card image", whole: bool = True) -> "CardImage":
        """`whole` False: a card that is being made, and may lack keys."""
        top = Fields(value, where)
        check_mark(top, CARD_FORMAT)
        profile = top.choice("profile", tuple(PROFILES), default=NATIONAL_PROFILE)
        second = top.object("second")
        purse = top.inner("purse")
        limit_fen = purse.whole("limit_fen", 0, LIMIT_MAX_FEN, default=0)
        failures = top.inner("failures", default={})
        image = cls(
            aid=top.octets("aid", range(5, 17)),
            fci=top.octets("fci", range(2, 257)),
            uid=top.octets("uid", (4, 7), default=None),
            historical=top.octets("historical", range(16), default=b""),
            files=_files(top.inner("files"), LAYOUTS[profile]),
            records=_records(top.inner("records", default={})),
            balance_fen=purse.whole("balance_fen", -limit_fen, BALANCE_MAX_FEN - limit_fen),
            limit_fen=limit_fen,
            offline_counter=purse.whole("offline_counter", 0, COUNTER_MAX),
            online_counter=purse.whole("online_counter", 0, COUNTER_MAX),
            keys=_keys(top.inner("keys"), CARD_KEYS, CARD_KEYS if whole else ()),
            last_proof=_proof(top),
            blocked=top.choice("blocked", BLOCKED_STATES, default="no"),
            mac1_failures=failures.whole("mac1", 0, 255, default=0),
            unblock_failures=failures.whole("unblock", 0, 255, default=0),
            settings=_card_settings(top.inner("settings", default={})),
            profile=profile,
            second=None if second is None else cls.from_json(second, f"{where}: second"),
        )
        if image.second is not None and (image.second.second is not None or image.second.aid == image.aid):
            raise ImageError(f"{where}: second must be one more application, with an aid of its own")
        for fields in (purse, failures, top):
            fields.no_more()
        try:
            copied = tlv_find(image.fci, (0x6F, 0xA5, 0x9F0C))
        except BadInput as error:
            raise ImageError(f"{where}: fci is no whole TLV: {error}") from error
        if copied not in (None, image.files.get(0x15)):
            raise ImageError(f"{where}: fci: tag 9F0C must repeat files.15 byte for byte")
        return image

    def to_json(self) -> dict[str, Any]:
        settings = self.settings
        proof = self.last_proof
        return {
            "format": CARD_FORMAT,
            "test_keys": True,
            "profile": self.profile,
            "second": None if self.second is None else self.second.to_json(),
            "aid": hex_text(self.aid),
            "fci": hex_text(self.fci),
            "uid": None if self.uid is None else hex_text(self.uid),
            "historical": hex_text(self.historical),
            "files": {f"{sfi:02X}": hex_text(content) for sfi, content in sorted(self.files.items())},
            "records": {f"{sfi:02X}": [hex_text(one) for one in many] for sfi, many in sorted(self.records.items())},
            "purse": {
                "balance_fen": self.balance_fen,
                "limit_fen": self.limit_fen,
                "offline_counter": self.offline_counter,
                "online_counter": self.online_counter,
            },
            "keys": _keys_to_json(self.keys),
            "last_proof": None if proof is None else {
                "type": proof.type, "counter": proof.counter, "mac2": hex_text(proof.mac2), "tac": hex_text(proof.tac),
            },
            "blocked": self.blocked,
            "failures": {"mac1": self.mac1_failures, "unblock": self.unblock_failures},
            "settings": {
                "empty_record": settings.empty_record,
                "blocked_select_sw": settings.blocked_select_sw,
                "debit_without_cache": settings.debit_without_cache,
                "mac1_tries": settings.mac1_tries,
                "balance_p1": list(settings.balance_p1),
                "wrong_le": settings.wrong_le,
                "select_by_fid": settings.select_by_fid,
                "compound": settings.compound,
            },
        }  # fmt: skip


@dataclass
class PsamImage(Image):
    """Everything a PSAM keeps without power. Files 15h and 16h lie in the MF, 17h in the application."""

    files: dict[int, bytes]
    terminal_counter: int                       # the next one
    keys: dict[str, list[Key]]
    locked: bool = False
    mac2_failures: int = 0
    settings: PsamSettings = field(default_factory=PsamSettings)

    @classmethod
    def load(cls, path: str | Path) -> "PsamImage":
        """Read an image; raises ImageError naming file, field and cure."""
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls, value: Any, where: str = "PSAM image", whole: bool = True) -> "PsamImage":
        """`whole` False: a PSAM that is being made, and may lack keys."""
        top = Fields(value, where)
        check_mark(top, PSAM_FORMAT)
        files = top.inner("files")
        failures = top.inner("failures", default={})
        settings = top.inner("settings", default={})
        image = cls(
            files={0x15: files.octets("15", (14,)), 0x16: files.octets("16", (6,)), 0x17: files.octets("17", (25,))},
            terminal_counter=top.whole("terminal_counter", 0, 0xFFFFFFFF),
            keys=_keys(top.inner("keys"), PSAM_KEYS, PSAM_KEYS_NEEDED if whole else ()),
            locked=top.flag("locked", default=False),
            mac2_failures=failures.whole("mac2", 0, 255, default=0),
            settings=PsamSettings(
                counter_advances_at=settings.choice("counter_advances_at", ("8072", "8070"), default="8072"),
                pads_mac=settings.flag("pads_mac", default=False),
                levels=settings.whole("levels", 1, 3, default=2),
                mac2_tries=settings.whole("mac2_tries", 0, 255, default=0),
                get_response=settings.flag("get_response", default=False),
            ),
        )
        for fields in (files, failures, settings, top):
            fields.no_more()
        return image

    def to_json(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "format": PSAM_FORMAT,
            "test_keys": True,
            "files": {f"{sfi:02X}": hex_text(content) for sfi, content in sorted(self.files.items())},
            "terminal_counter": self.terminal_counter,
            "keys": _keys_to_json(self.keys),
            "locked": self.locked,
            "failures": {"mac2": self.mac2_failures},
            "settings": {
                "counter_advances_at": settings.counter_advances_at,
                "pads_mac": settings.pads_mac,
                "levels": settings.levels,
                "mac2_tries": settings.mac2_tries,
                "get_response": settings.get_response,
            },
        }


def read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}; name an image file, or make one with `ykt card new`") from error
    except ValueError as error:
        raise ImageError(f"{path}: not JSON: {error}") from error


def check_mark(top: Fields, format: str) -> None:
    top.choice("format", (format,))
    if not top.flag("test_keys", default=False):
        raise ImageError(
            f"{top.where}: test_keys must be true: keys stand here in the clear, so only invented ones may; "
            "a production key never belongs in an image"
        )


def _files(files: Fields, layout: dict[int, int]) -> dict[int, bytes]:
    found = {sfi: files.octets(f"{sfi:02X}", (size,)) for sfi, size in layout.items()}
    files.no_more()
    return found


def _records(records: Fields) -> dict[int, list[bytes]]:
    found = {}
    for sfi, (count, size) in CYCLIC.items():
        found[sfi] = records.octet_list(f"{sfi:02X}", count, (size,))
    for sfi in VARIABLE:
        found[sfi] = records.octet_list(f"{sfi:02X}", COMPOUND_RECORDS_MAX, range(RECORD_BYTES_MAX + 1))
    records.no_more()
    return found


def _keys(keys: Fields, purposes: tuple[str, ...], needed: tuple[str, ...]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for purpose in purposes:
        found[purpose] = []
        for entry in keys.inners(purpose, least=int(purpose in needed)):
            algorithm = entry.whole("algorithm", 0, 255)
            if algorithm not in (0x00, 0x04) or (algorithm and purpose == "maintenance"):
                raise ImageError(f"{entry.where}.algorithm: 0 (3DES) or, but for maintenance, 4 (SM4)")
            sizes = (16,) if algorithm else (8, 16)
            index, version = entry.whole("index", 0, 255), entry.whole("version", 0, 255)
            if any((key.index, key.version, key.algorithm) == (index, version, algorithm) for key in found[purpose]):
                raise ImageError(f"{entry.where}: that index, version and algorithm are taken: give each key its own")
            found[purpose].append(Key(index, version, algorithm, entry.octets("value", sizes)))
            entry.no_more()
    keys.no_more()
    return found


def _keys_to_json(keys: dict[str, list[Key]]) -> dict[str, Any]:
    return {
        purpose: [
            {"index": key.index, "version": key.version, "algorithm": key.algorithm, "value": hex_text(key.value)}
            for key in entries
        ]
        for purpose, entries in keys.items()
    }


def _proof(top: Fields) -> Proof | None:
    proof = top.inner("last_proof", default=None)
    if proof is None:
        return None
    found = Proof(
        type=proof.whole("type", 0, 255),
        counter=proof.whole("counter", 0, COUNTER_MAX),
        mac2=proof.octets("mac2", (4,)),
        tac=proof.octets("tac", (4,)),
    )
    proof.no_more()
    return found


def _card_settings(settings: Fields) -> CardSettings:
    found = CardSettings(
        empty_record=settings.choice("empty_record", ("6A83", "00", "FF"), default="6A83"),
        blocked_select_sw=settings.choice("blocked_select_sw", ("6283", "6284", "6A81"), default="6283"),
        debit_without_cache=settings.flag("debit_without_cache", default=True),
        mac1_tries=settings.whole("mac1_tries", 0, 255, default=0),
        balance_p1=settings.wholes("balance_p1", 0, 3, default=(0, 1, 2, 3)),
        wrong_le=settings.choice("wrong_le", ("ignore", "6Cxx"), default="ignore"),
        select_by_fid=settings.flag("select_by_fid", default=True),
        compound=settings.flag("compound", default=True),
    )
    settings.no_more()
    return found


def hex_text(raw: bytes) -> str:
    return raw.hex().upper()
