"""The memory of a blank card or PSAM and of what becomes of it, its JSON image, and the profile it is built to.

Profiles are data: those of backoffice/cards/profiles are read from there, by name. Fields: simulator/docs/image.md.
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from simulator import card_files
from simulator.blank_crypto import FACTOR_BYTES, KEY_BYTES, SCHEMES, Scheme
from simulator.image import (
    CARD_FORMAT,
    CARD_KEYS,
    COMPOUND_RECORDS_MAX,
    CYCLIC,
    HISTORY,
    LAYOUTS,
    LOG,
    NATIONAL_PROFILE,
    PSAM_FORMAT,
    PSAM_KEYS,
    RECORD_BYTES_MAX,
    VARIABLE,
    CardImage,
    Image,
    ImageError,
    PsamImage,
    check_mark,
    hex_text,
    read_json,
)  # fmt: skip
from simulator.jsonfield import Fields
from tunion.card import psam

BLANK_FORMAT = "yikatong-blank/1"
PROFILES = Path(__file__).parents[1] / "backoffice" / "cards" / "profiles"

BLANK, INITIALISED, PERSONALISED = range(3)     # stages
TRIES_MAX = 5               # wrong answers in a row to a challenge, then the chip is lost
CARD, PSAM = "card", "psam"
KINDS = {"transparent": 1, "cyclic": 2, "variable": 3}
LAYOUT = {          # SFI -> bytes of the transparent files
    CARD: LAYOUTS[NATIONAL_PROFILE],
    PSAM: {psam.IDENTITY_SFI: 14, psam.TERMINAL_SFI: 6, psam.APPLICATION_SFI: 25},
}
COMMANDS = (
    "select_mf", "get_chip", "get_challenge", "external_authenticate", "write_key", "create_application",
    "create_file", "update_binary", "end_stage",
)  # fmt: skip
CONTROL = "control"

UID_HEAD = 0x04             # of a chip's UID; the last six bytes of its serial number follow
SERIAL_BYTES = 8
MAKER, MASK = b"\x54\x4b", b"\x00\x01"      # of the blanks that nobody gave others


class File(NamedTuple):
    sfi: int
    kind: str
    size: int               # bytes, or records
    record_bytes: int

    def command(self) -> bytes:
        """What CREATE FILE says of it."""
        return struct.pack(">BBHH", self.sfi, KINDS[self.kind], self.size, self.record_bytes)


@dataclass(frozen=True)
class Profile:
    """What a chip is built to. `data` is the file it was read from."""

    name: str
    medium: str
    scheme: str
    commands: dict[str, bytes]              # heads, 4 bytes
    usages: dict[int, str]
    algorithms: dict[str, int]
    aid: bytes
    version: bytes
    files: tuple[File, ...]
    data: dict[str, Any] = field(repr=False, compare=False)

    def __deepcopy__(self, memo: object) -> "Profile":
        return self         # it never changes, and each command copies its image

    @property
    def crypto(self) -> Scheme:
        return SCHEMES[self.scheme]

    @classmethod
    def load(cls, name: str | Path) -> "Profile":
        """By the name of a profile of ours or the path of another; raises ImageError."""
        path = Path(name)
        if path.suffix != ".json":
            path = PROFILES / f"{name}.json"
        if not path.exists():
            known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.json")))
            raise ImageError(f"no profile {name}: name one of {known}, or a file of your own that ends in .json")
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls, value: Any, where: str = "profile") -> "Profile":
        top = Fields(value, where)
        medium = top.choice("medium", (CARD, PSAM))
        usages, algorithms, commands = top.inner("usages"), top.inner("algorithms"), top.inner("commands")
        names = (CONTROL, *CARD_KEYS)
        found = cls(
            name=top.text("name"),
            medium=medium,
            scheme=top.choice("scheme", tuple(SCHEMES)),
            commands={name: commands.octets(name, (4,)) for name in COMMANDS},
            usages={usages.whole(name, 0, 255): name for name in names},
            algorithms={name: algorithms.whole(name, 0, 255) for name in ("3DES", "SM4", "AES")},
            aid=top.octets("aid", range(5, 17)),
            version=top.octets("version", (1, 2)),
            files=tuple(_file(entry) for entry in top.inners("files")),
            data=value,
        )
        for name in ("about", "origin"):
            top.text(name)
        top.object("keys")          # whoever writes them goes by this; the chip takes what it is given
        for fields in (usages, algorithms, commands, top):
            fields.no_more()
        if len(found.usages) != len(names):
            raise ImageError(f"{where}: usages: two have the same number; give each its own")
        if medium == PSAM and found.aid != psam.APPLICATION_NAME:
            raise ImageError(f"{where}: aid: a PSAM of this chip has {hex_text(psam.APPLICATION_NAME)} only")
        for one in found.files:
            if not _fits(medium, one):
                raise ImageError(f"{where}: files: this chip has no room for {one.sfi:02X} of that kind and size")
        for sfi in LAYOUT[medium]:
            if sfi not in [one.sfi for one in found.files]:
                raise ImageError(f"{where}: files: {sfi:02X} is missing")
        return found


def _file(entry: Fields) -> File:
    sfi = entry.octets("sfi", (1,))
    found = File(
        sfi[0], entry.choice("kind", tuple(KINDS)), entry.whole("count", 1, 0xFFFF), entry.whole("bytes", 0, 0xFFFF)
    )
    entry.no_more()
    return found


def _fits(medium: str, one: File) -> bool:
    """The simulated chip holds the files of a T-Union card, and of a PSAM."""
    if one.kind == "transparent":
        return LAYOUT[medium].get(one.sfi) == one.size and not one.record_bytes
    if medium == PSAM:
        return False
    if one.kind == "cyclic":
        return CYCLIC.get(one.sfi) == (one.size, one.record_bytes)
    return one.sfi in VARIABLE and one.size <= COMPOUND_RECORDS_MAX and one.record_bytes == RECORD_BYTES_MAX


@dataclass(frozen=True)
class ControlKey:
    version: int
    transport: bool                 # still the vendor's
    value: bytes = field(repr=False)


@dataclass
class BlankImage(Image):
    """Everything a chip keeps without power, from the vendor's door to the end of its life."""

    profile: Profile
    serial: bytes                   # 8, of the chip
    control: ControlKey
    maker: bytes = MAKER
    mask: bytes = MASK
    stage: int = BLANK
    tries_left: int = TRIES_MAX
    application: bool = False       # is there
    made: set[int] = field(default_factory=set)                     # SFIs
    written: dict[int, bytes] = field(default_factory=dict)         # SFI -> FF for each byte that was written
    card: CardImage | None = None   # what it becomes: one of these two
    psam: PsamImage | None = None

    @property
    def content(self) -> CardImage | PsamImage:
        content = self.card or self.psam
        assert content, "a chip is a card or a PSAM"
        return content

    def is_written(self, sfi: int) -> bool:
        """Each byte of that file."""
        mask = self.written.get(sfi, b"\x00")
        return mask == b"\xff" * len(mask)

    @classmethod
    def load(cls, path: str | Path) -> "BlankImage":
        """Read an image; raises ImageError naming file, field and cure."""
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls, value: Any, where: str = "blank image") -> "BlankImage":
        top = Fields(value, where)
        check_mark(top, BLANK_FORMAT)
        profile = Profile.from_json(top.object("profile"), f"{where}: profile")
        control = top.inner("control")
        written = top.inner("written", default={})
        sizes = {one.sfi: one.size for one in profile.files if one.kind == "transparent"}
        stage = top.whole("stage", BLANK, PERSONALISED)
        card, sam = top.object("card"), top.object("psam")
        if (card is not None, sam is not None) != (profile.medium == CARD, profile.medium == PSAM):
            raise ImageError(f"{where}: a chip of profile {profile.name} has a {profile.medium}, and nothing else")
        image = cls(
            profile=profile,
            serial=top.octets("serial", (SERIAL_BYTES,)),
            maker=top.octets("maker", (2,)),
            mask=top.octets("mask", (2,)),
            control=ControlKey(
                control.whole("version", 0, 255), control.flag("transport"), control.octets("value", (KEY_BYTES,))
            ),
            stage=stage,
            tries_left=top.whole("tries_left", 0, TRIES_MAX),
            application=top.flag("application"),
            made={raw[0] for raw in top.octet_list("made", len(profile.files), (1,))},
            written={
                sfi: mask
                for sfi, size in sizes.items()
                if (mask := written.octets(f"{sfi:02X}", (size,), default=None)) is not None
            },
            card=None if card is None else CardImage.from_json(card, f"{where}: card", stage == PERSONALISED),
            psam=None if sam is None else PsamImage.from_json(sam, f"{where}: psam", stage == PERSONALISED),
        )
        for fields in (control, written, top):
            fields.no_more()
        if image.stage > BLANK and (image.control.transport or not image.application):
            raise ImageError(f"{where}: stage: a chip with its transport key or without application is a blank, 0")
        return image

    def to_json(self) -> dict[str, Any]:
        return {
            "format": BLANK_FORMAT,
            "test_keys": True,
            "profile": self.profile.data,
            "serial": hex_text(self.serial),
            "maker": hex_text(self.maker),
            "mask": hex_text(self.mask),
            "stage": self.stage,
            "tries_left": self.tries_left,
            "control": {
                "version": self.control.version,
                "transport": self.control.transport,
                "value": hex_text(self.control.value),
            },
            "application": self.application,
            "made": [f"{sfi:02X}" for sfi in sorted(self.made)],
            "written": {f"{sfi:02X}": hex_text(mask) for sfi, mask in sorted(self.written.items())},
            "card": None if self.card is None else self.card.to_json(),
            "psam": None if self.psam is None else self.psam.to_json(),
        }


def blank_image(
    profile: Profile, serial: bytes, transport: bytes, maker: bytes = MAKER, mask: bytes = MASK
) -> BlankImage:
    """A chip as it leaves the vendor.

    serial     8 bytes, of the chip
    transport  the batch's transport key, 16 bytes; the chip gets it diversified by its serial
    """
    if len(serial) != SERIAL_BYTES or len(transport) != KEY_BYTES:
        raise ValueError("a chip has a serial number of 8 bytes, and a transport key of 16")
    control = ControlKey(0, True, profile.crypto.diversify(transport, serial))
    image = BlankImage(profile, serial, control, maker, mask)
    if profile.medium == PSAM:
        image.made = set(LAYOUT[PSAM])
        files = {sfi: bytes(size) for sfi, size in LAYOUT[PSAM].items()}
        image.psam = PsamImage(files=files, terminal_counter=0, keys={purpose: [] for purpose in PSAM_KEYS})
        return image
    counts = {one.sfi: one.size for one in profile.files}
    image.card = CardImage(
        aid=profile.aid,
        fci=card_files.fci(profile.aid, profile.version),
        uid=bytes((UID_HEAD,)) + serial[-6:],
        files={sfi: bytes(size) for sfi, size in LAYOUT[CARD].items()},
        records={LOG: [], HISTORY: [], **{sfi: [b""] * counts.get(sfi, 0) for sfi in VARIABLE}},
        balance_fen=0,
        limit_fen=0,
        offline_counter=0,
        online_counter=0,
        keys={purpose: [] for purpose in CARD_KEYS},
    )
    return image


def blank_images(
    count: int,
    profile: str | Path | Profile,
    transport: bytes,
    first_serial: int = 1,
    maker: bytes = MAKER,
    mask: bytes = MASK,
) -> list[BlankImage]:
    """A delivery: `count` chips with serial numbers one after another from `first_serial`, and one transport key."""
    known = profile if isinstance(profile, Profile) else Profile.load(profile)
    serials = range(first_serial, first_serial + count)
    return [blank_image(known, each.to_bytes(FACTOR_BYTES, "big"), transport, maker, mask) for each in serials]


def load_image(path: str | Path) -> CardImage | PsamImage | BlankImage:
    """An image of whatever format; raises ImageError naming file, field and cure."""
    value = read_json(path)
    kinds: dict[Any, Any] = {CARD_FORMAT: CardImage, PSAM_FORMAT: PsamImage, BLANK_FORMAT: BlankImage}
    kind = kinds.get(value.get("format")) if isinstance(value, dict) else None
    if kind is None:
        raise ImageError(f"{path}: format must be {' or '.join(json.dumps(name) for name in kinds)}")
    return kind.from_json(value, str(path))     # type: ignore[no-any-return]
