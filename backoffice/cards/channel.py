"""What a program says to a chip that it writes: a profile's commands over a line, secured through the key service.

Cards and PSAMs share it. Commands and formulas: backoffice/docs/personalise.md. Each refusal has a name, and says
what to do. CardGone of the line passes through: what was sent last may or may not have happened, so whoever resumes
opens the channel anew and looks at the stage.
"""

from typing import NamedTuple

from backoffice.cards.line import Line
from backoffice.cards.profile import KINDS, FileRow, Profile
from backoffice.keys.backend import KeyPath
from backoffice.keys.service import KeyService
from tunion.record import Record

OK = 0x9000
WRONG_DATA = 0x6A80
MF_FID = b"\x3f\x00"
STAGE_BLANK, STAGE_INITIALISED, STAGE_PERSONALISED = range(3)
CHALLENGE_BYTES = 8
MAC_BYTES = 4
TRIES_KEPT = 1  # never spent by us: a batch with the wrong transport key shall not lock its chips
UPDATE_BYTES_MAX = 200  # of one UPDATE BINARY; Lc counts one byte, and MAC and padding stay inside
ANSWER_PARTS_MAX = 8  # GET RESPONSE in a row: 2 KB, longer than any answer here

CHIP = Record(
    "Chip", 14, (("serial", "8s"), ("maker", "2s"), ("mask", "2s"), ("stage", "B"), ("tries_left", "B"))
)


class ChipRefused(Exception):
    """The chip said no to a step. `step` names the command, `word` is its status word."""

    cure = "look the status word up in the chip's manual, and scrap the chip if it stays"

    def __init__(self, step: str, word: int) -> None:
        super().__init__(f"{step}: the chip answers {word:04X}: {self.cure}")
        self.step = step
        self.word = word


class WrongControlKey(ChipRefused):
    """EXTERNAL AUTHENTICATE failed: it took one of the chip's tries."""

    cure = "this is not its control key; check the batch's transport key before another try"


class LastTry(ChipRefused):
    """Refused by us: so few tries are left that another wrong key would lock the chip."""

    cure = "one try is left and is not spent; give the chip back to its vendor"


class ChipLocked(ChipRefused):
    cure = "its control key is locked for ever: scrap it"


class NotAuthenticated(ChipRefused):
    cure = "the authentication is gone: start this chip again"


class MacRefused(ChipRefused):
    cure = "it does not accept our MAC, and the authentication is gone: start this chip again; scrap it if it stays"


class WrongStage(ChipRefused):
    cure = "it is not in the stage for this, or lacks keys or files that the stage wants: check profile and chip"


class KeyThere(ChipRefused):
    cure = "a key stands there already under this usage, index and version"


class ApplicationThere(ChipRefused):
    cure = "it has an application already, or may not have this one: check the profile's aid"


class NoRoom(ChipRefused):
    cure = "it has no room, no such file, or the file is shorter: check the profile's files"


class BadMemory(ChipRefused):
    cure = "its memory fails: scrap it"


class NotOurs(ChipRefused):
    cure = "it does not know this command: it is another kind of chip than the profile's"


class BadAnswer(ChipRefused):
    cure = "the answer has another length than the profile says: it is another kind of chip"


_BY_WORD: dict[int, type[ChipRefused]] = {
    0x6983: ChipLocked,
    0x6982: NotAuthenticated,
    0x6984: NotAuthenticated,
    0x6987: MacRefused,
    0x6988: MacRefused,
    0x6985: WrongStage,
    0x6901: WrongStage,
    0x6A82: NoRoom,
    0x6A83: NoRoom,
    0x6A84: NoRoom,
    0x6B00: NoRoom,
    0x6581: BadMemory,
    0x6A81: NotOurs,
    0x6A86: NotOurs,
    0x6D00: NotOurs,
    0x6E00: NotOurs,
}


def refusal(step: str, word: int) -> ChipRefused:
    """The named refusal of a status word."""
    if word & 0xFFF0 == 0x63C0:
        return WrongControlKey(step, word)
    return _BY_WORD.get(word, ChipRefused)(step, word)


class Chip(NamedTuple):
    """What a chip says of itself."""

    serial: bytes  # 8
    maker: bytes  # 2
    mask: bytes  # 2
    stage: int  # 0 blank, 1 initialised, 2 personalised
    tries_left: int  # of its control key


class Channel:
    """One chip on a line, from `open` on. `steps` is what was sent and how it was answered, for the record."""

    def __init__(self, line: Line, profile: Profile, keys: KeyService) -> None:
        self.profile = profile
        self.atr = b""
        self.steps: list[tuple[str, int]] = []
        self._line = line
        self._keys = keys
        self._control: KeyPath | None = None
        self._iv = b""  # of the next secured command; b"": not authenticated

    def open(self) -> Chip:
        """Reset the chip, select its MF, ask who it is. Raises ChipRefused, CardGone."""
        self._control, self._iv = None, b""
        self.atr = self._line.power_on()
        self.select_mf()
        answer = self.send("get_chip", le=CHIP.size)
        if len(answer) != CHIP.size:
            raise BadAnswer("get_chip", OK)
        return Chip(*CHIP.unpack(answer))

    def select_mf(self) -> None:
        self._iv = b""
        self.send("select_mf", MF_FID)

    def authenticate(self, control: KeyPath) -> None:
        """Prove the control key at `control`: transport or control, down to the chip's serial.

        Raises LastTry where a wrong key would lock the chip, WrongControlKey, ChipLocked.
        """
        tries_left = CHIP.unpack(self.send("get_chip", le=CHIP.size)).tries_left
        if tries_left <= TRIES_KEPT:
            word = 0x63C0 | tries_left
            raise LastTry("external_authenticate", word) if tries_left else ChipLocked("external_authenticate", 0x6983)
        self._iv = b""
        challenge = self.send("get_challenge", le=CHALLENGE_BYTES)
        if len(challenge) != CHALLENGE_BYTES:
            raise BadAnswer("get_challenge", OK)
        self.send("external_authenticate", self._keys.auth(control, challenge))
        self._control, self._iv = control, challenge

    def write_key(self, usage: str, index: int, version: int, algorithm: str, target: KeyPath) -> None:
        """The key at `target`, wrapped under the control key. Raises KeyThere.

        A new control key ends the authentication.
        """
        numbers = bytes((version, self.profile.algorithms[algorithm]))
        wrapped = self._keys.wrap(self._proved(f"write_key {usage}"), target)
        p1p2 = bytes((self.profile.usages[usage], index))
        try:
            self.secured("write_key", p1p2, numbers + wrapped, f"write_key {usage} {version}")
        except ChipRefused as refused:
            if refused.word == WRONG_DATA:
                raise KeyThere(refused.step, refused.word) from refused
            raise
        if usage == "control":
            self._control, self._iv = None, b""

    def create_application(self) -> None:
        """Raises ApplicationThere."""
        try:
            self.secured("create_application", None, self.profile.aid)
        except ChipRefused as refused:
            if refused.word == WRONG_DATA:
                raise ApplicationThere(refused.step, refused.word) from refused
            raise

    def create_file(self, row: FileRow) -> None:
        sizes = row.units.to_bytes(2, "big") + row.record_bytes.to_bytes(2, "big")
        body = bytes((row.sfi, KINDS[row.kind])) + sizes
        self.secured("create_file", None, body, f"create_file {row.sfi:02X}")

    def update_binary(self, sfi: int, content: bytes) -> None:
        """The file's content from its first byte on; P2 reaches 256 bytes."""
        assert len(content) <= 256, "a file of the profile is shorter"
        for at in range(0, len(content), UPDATE_BYTES_MAX):
            part = content[at : at + UPDATE_BYTES_MAX]
            self.secured("update_binary", bytes((0x80 | sfi, at)), part, f"update_binary {sfi:02X}")

    def end_stage(self, stage: int) -> None:
        self.secured("end_stage", bytes((stage, 0)), b"", f"end_stage {stage}")

    def read_binary(self, sfi: int, size: int) -> bytes:
        """`size` bytes of a transparent file of what is selected; at most 255."""
        content = self.exchange(f"read_binary {sfi:02X}", bytes((0x00, 0xB0, 0x80 | sfi, 0x00, size)))
        if len(content) != size:
            raise BadAnswer(f"read_binary {sfi:02X}", OK)
        return content

    def secured(self, command: str, p1p2: bytes | None, data: bytes, step: str = "") -> bytes:
        """One command with its MAC, chained to the one before. `p1p2` None: the profile's own."""
        step = step or command
        control = self._proved(step)
        head = self.profile.commands[command]
        head = head if p1p2 is None else head[:2] + p1p2
        covered = head + bytes((len(data) + MAC_BYTES,)) + data
        mac = self._keys.command_mac(control, self._iv, covered)
        self._iv = mac + bytes(CHALLENGE_BYTES - MAC_BYTES)
        try:
            return self.exchange(step, covered + mac)
        except (MacRefused, NotAuthenticated):
            self._control, self._iv = None, b""
            raise

    def send(self, command: str, data: bytes = b"", le: int = 0) -> bytes:
        """One command of the profile without a MAC. `le` 0: no Le."""
        body = bytes((len(data),)) + data if data else b""
        return self.exchange(command, self.profile.commands[command] + body + (bytes((le,)) if le else b""))

    def exchange(self, step: str, apdu: bytes) -> bytes:
        """Any command: its answer without the status word. Raises the refusal of another word than 9000."""
        answer = self._line.transceive(apdu)
        whole = b""
        for _ in range(ANSWER_PARTS_MAX):
            if len(answer) < 2:
                raise BadAnswer(step, 0)
            if answer[-2] != 0x61:  # T=0: so many bytes wait
                break
            whole += answer[:-2]
            answer = self._line.transceive(b"\x00\xc0\x00\x00" + answer[-1:])
        else:
            raise BadAnswer(step, int.from_bytes(answer[-2:], "big"))
        word = int.from_bytes(answer[-2:], "big")
        self.steps.append((step, word))
        if word != OK:
            raise refusal(step, word)
        return whole + answer[:-2]

    def close(self) -> None:
        self._control, self._iv = None, b""
        self._line.power_off()

    def _proved(self, step: str) -> KeyPath:
        if self._control is None or not self._iv:
            raise NotAuthenticated(step, 0x6982)
        return self._control
