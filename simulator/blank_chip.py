"""A blank chip: the sample command set of backoffice/docs/personalise.md, byte by byte, for each of its profiles.

What is common to cards and PSAMs; blank_card and blank_psam say what one answers besides, and what it becomes. All
effects of a command are stored in one step through `persist`, as a card's are.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

from simulator import sw
from simulator.apdu import Apdu, Refused, need, parse, status
from simulator.blank_crypto import MAC_BYTES, Unwrapped
from simulator.blank_image import (
    BLANK,
    CONTROL,
    INITIALISED,
    PERSONALISED,
    TRIES_MAX,
    BlankImage,
    ControlKey,
)  # fmt: skip
from simulator.card import NotPowered
from simulator.card_files import overwritten
from simulator.image import Key
from simulator.randomness import Random, system

MF_FID = b"\x3f\x00"
CHALLENGE_BYTES = 8
CHIP_BYTES = 14             # of the answer to GET CHIP
FILE_BYTES = 6              # of CREATE FILE
KEY_HEAD_BYTES = 2          # of WRITE KEY: version, algorithm
AID_BYTES = range(5, 17)
P1P2_SAYS = ("write_key", "update_binary", "end_stage")     # the others have fixed ones
SECURED = ("write_key", "create_application", "create_file", "update_binary", "end_stage")

Persist = Callable[[BlankImage], None]      # raises OSError where the image cannot be stored


class BlankChip(ABC):
    """One chip. `image` is what it keeps, and is replaced, never changed, while it works."""

    takes: dict[int, tuple[str, ...]]       # stage -> the commands of the set that it knows then

    def __init__(self, image: BlankImage, random: Random | None = None, persist: Persist | None = None) -> None:
        self.image = image
        self._random = random or system
        self._persist = persist
        self._powered = False
        self._challenge: bytes | None = None        # for the next command only
        self._chain: bytes | None = None            # initial value of the next MAC; None: not authenticated
        self._handlers: dict[str, Callable[[Apdu, bytes | None], bytes]] = {
            "select_mf": self._select_mf,
            "get_chip": self._get_chip,
            "get_challenge": self._get_challenge,
            "external_authenticate": self._authenticate,
            "write_key": self._write_key,
            "create_application": self._create_application,
            "create_file": self._create_file,
            "update_binary": self._update_binary,
            "end_stage": self._end_stage,
        }

    # --- what a reader does with it

    @property
    @abstractmethod
    def uid(self) -> bytes: ...

    @property
    @abstractmethod
    def atr(self) -> bytes: ...

    def power_on(self) -> bytes:
        """Reset. An open authentication and a challenge are gone; stage, keys and files are as they were."""
        self._powered = True
        self._challenge = self._chain = None
        return self._content_on()

    def power_off(self) -> None:
        self._powered = False
        self._challenge = self._chain = None
        self._content_off()

    def transceive(self, apdu: bytes) -> bytes:
        """One command, one answer with its status word. Raises NotPowered, RandomSpent."""
        if not self._powered:
            raise NotPowered("the chip has no power: call power_on first")
        challenge, self._challenge = self._challenge, None
        try:
            command = parse(apdu)
            name = self._named(command)
            if name is None:
                return self._otherwise(apdu, command)
            self._taken()
            if name not in self.takes[self.image.stage]:
                if name in SECURED and self._chain is not None:
                    self._secured(command)          # the chain of MACs goes on, whatever else is refused
                raise Refused(sw.CONDITIONS)
            return self._handlers[name](command, challenge) + status(sw.OK)
        except Refused as refused:
            return status(refused.word)

    # --- what it becomes

    @abstractmethod
    def _content_on(self) -> bytes: ...

    @abstractmethod
    def _content_off(self) -> None: ...

    @abstractmethod
    def _otherwise(self, apdu: bytes, command: Apdu) -> bytes:
        """The answer to a command that is none of the set."""

    def _taken(self) -> None:
        """A command of the set has come. Nothing to do, unless the content says otherwise."""
        return None

    def _show(self, image: BlankImage) -> None:
        """`image` is the chip from now on."""
        self.image = image

    @abstractmethod
    def _finish(self, after: BlankImage) -> None:
        """END STAGE 2: make `after` whole, or refuse."""

    @abstractmethod
    def _allows_application(self, aid: bytes) -> bool: ...

    # --- the set

    def _named(self, apdu: Apdu) -> str | None:
        """Which command of the set this is; None: none."""
        head = bytes((apdu.cla, apdu.ins))
        same = [name for name, known in self.image.profile.commands.items() if known[:2] == head]
        for name in same:
            known = self.image.profile.commands[name]
            if name == "select_mf" and apdu.data not in (b"", MF_FID):
                continue
            if name in P1P2_SAYS or known[2:] == bytes((apdu.p1, apdu.p2)):
                return name
        need(not same or "select_mf" in same, sw.WRONG_P1P2)
        return None

    def _select_mf(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        self._chain = None
        self._content_on()
        return b""

    def _get_chip(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        need(not apdu.data, sw.WRONG_LENGTH)
        need(apdu.le in (None, 0, CHIP_BYTES), sw.WRONG_LE | CHIP_BYTES)
        image = self.image
        return image.serial + image.maker + image.mask + bytes((image.stage, image.tries_left))

    def _get_challenge(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        need(not apdu.data and apdu.le == CHALLENGE_BYTES, sw.WRONG_LENGTH)
        self._challenge = self._random(CHALLENGE_BYTES)
        return self._challenge

    def _authenticate(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        """EXTERNAL AUTHENTICATE. A wrong try is stored before it is told, else it could be taken back."""
        self._chain = None
        need(self.image.tries_left > 0, sw.NO_TRIES)
        need(len(apdu.data) == CHALLENGE_BYTES, sw.WRONG_LENGTH)
        if challenge is None:
            raise Refused(sw.NO_CHALLENGE)
        if self.image.profile.crypto.auth(self.image.control.value, challenge) != apdu.data:
            left = self.image.tries_left - 1
            self._store(replace(self.image, tries_left=left))
            raise Refused(sw.TRIES | left)
        if self.image.tries_left != TRIES_MAX:
            self._store(replace(self.image, tries_left=TRIES_MAX))
        self._chain = challenge
        return b""

    def _secured(self, apdu: Apdu) -> bytes:
        """The command's data without their MAC, which is right; else the authentication is lost."""
        chain, self._chain = self._chain, None
        if chain is None:
            raise Refused(sw.NOT_ALLOWED)
        need(len(apdu.data) >= MAC_BYTES, sw.MAC_MISSING)
        data, mac = apdu.data[:-MAC_BYTES], apdu.data[-MAC_BYTES:]
        covered = bytes((apdu.cla, apdu.ins, apdu.p1, apdu.p2, len(apdu.data))) + data
        need(self.image.profile.crypto.mac(self.image.control.value, chain, covered) == mac, sw.SM_MAC_WRONG)
        self._chain = mac + bytes(CHALLENGE_BYTES - MAC_BYTES)
        return data

    def _write_key(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        data = self._secured(apdu)
        profile = self.image.profile
        usage = profile.usages.get(apdu.p1)
        need(usage == CONTROL or usage in self.image.content.keys, sw.WRONG_P1P2)
        need(len(data) == KEY_HEAD_BYTES + profile.crypto.wrapped, sw.WRONG_LENGTH)
        version, algorithm = data[:KEY_HEAD_BYTES]
        try:
            value = profile.crypto.unwrap(self.image.control.value, data[KEY_HEAD_BYTES:])
        except Unwrapped as error:
            raise Refused(sw.WRONG_DATA) from error
        after = self.image.copy()
        if usage == CONTROL:
            need(algorithm == profile.algorithms[profile.scheme], sw.WRONG_DATA)
            need(self.image.stage != PERSONALISED or version != self.image.control.version, sw.WRONG_DATA)
            after.control = ControlKey(version, False, value)
            self._store(after)
            self._chain = None
            return b""
        assert usage is not None
        need(algorithm in self._algorithms(usage), sw.WRONG_DATA)
        held = after.content.keys[usage]
        need((apdu.p2, version) not in [(key.index, key.version) for key in held], sw.WRONG_DATA)
        held.append(Key(apdu.p2, version, algorithm, value))
        self._store(after)
        return b""

    def _algorithms(self, usage: str) -> tuple[int, ...]:
        """Secure messaging of a finished card is described for DES keys only."""
        known = self.image.profile.algorithms
        return (known["3DES"],) if usage == "maintenance" else (known["3DES"], known["SM4"])

    def _create_application(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        aid = self._secured(apdu)
        need(len(aid) in AID_BYTES, sw.WRONG_LENGTH)
        need(not self.image.application and self._allows_application(aid), sw.WRONG_DATA)
        after = self.image.copy()
        after.application = True
        self._name(after, aid)
        self._store(after)
        return b""

    def _name(self, after: BlankImage, aid: bytes) -> None:
        """The application has this name from now on. Most have one by themselves."""
        return None

    def _create_file(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        data = self._secured(apdu)
        need(len(data) == FILE_BYTES, sw.WRONG_LENGTH)
        need(self.image.application, sw.CONDITIONS)
        known = [one for one in self.image.profile.files if one.command() == data]
        need(bool(known) and known[0].sfi not in self.image.made, sw.WRONG_DATA)
        after = self.image.copy()
        after.made.add(known[0].sfi)
        self._store(after)
        return b""

    def _update_binary(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        data = self._secured(apdu)
        sfi, offset = apdu.p1 & 0x1F, apdu.p2
        need(apdu.p1 & 0xE0 == 0x80, sw.WRONG_P1P2)
        need(bool(data), sw.WRONG_LENGTH)
        need(sfi in self.image.made and (self.image.application or not self._in_application(sfi)), sw.NO_FILE)
        after = self.image.copy()
        files = after.content.files
        need(sfi in files, sw.WRONG_FILE_KIND)
        files[sfi] = overwritten(files[sfi], offset, data)
        mask = after.written.get(sfi, bytes(len(files[sfi])))
        after.written[sfi] = overwritten(mask, offset, b"\xff" * len(data))
        self._store(after)
        return b""

    def _in_application(self, sfi: int) -> bool:
        return True

    def _end_stage(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        data = self._secured(apdu)
        need(apdu.p2 == 0 and apdu.p1 in (INITIALISED, PERSONALISED), sw.WRONG_P1P2)
        need(not data, sw.WRONG_LENGTH)
        image = self.image
        need(apdu.p1 == image.stage + 1, sw.CONDITIONS)
        after = image.copy()
        after.stage = apdu.p1
        if image.stage == BLANK:
            all_made = image.made == {one.sfi for one in image.profile.files}
            need(not image.control.transport and image.application and all_made, sw.CONDITIONS)
        else:
            self._finish(after)
        self._store(after)
        if after.stage == PERSONALISED:
            self._chain = None
        return b""

    def _store(self, image: BlankImage) -> None:
        """Make `image` the chip, durably first."""
        self._keep(image)
        self._show(image)

    def _keep(self, image: BlankImage) -> None:
        if self._persist:
            try:
                self._persist(image)
            except OSError as error:
                raise Refused(sw.MEMORY_FAILURE) from error
