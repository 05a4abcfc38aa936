"""A key ceremony as a row of steps, each of which is durable when its call returns.

`Ceremony.step()` says what comes next and who does it; the call of that name does it. Everything is in the state file
(ceremony_file), so a program that ended anywhere goes on from there to the same result. What is typed wrong raises a
PartRefused and changes nothing but the minutes. Parts leave the file when their key is kept.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from backoffice.keys import components
from backoffice.keys.backend import ACTIVE, DESTROYED, GENERATED, KeyInfo, KeysError, Lacks
from backoffice.keys.ceremony_file import PartSafe, StateFile, Tampered, WrongPassphrase, check_passphrase
from backoffice.keys.ceremony_plan import AUDITOR, CUSTODIAN, MAKE, MASTER, SPLIT, WITNESS, Plan, PlannedKey, plan_of
from backoffice.keys.components import SLIP39, XOR, BadPart, EqualParts, PartRefused, WrongCheckValue
from backoffice.keys.hierarchy import OF_CARDS
from backoffice.keys.known import KNOWN_TEST_KCVS

# Kinds of steps, in their order
ATTEND = "attend"  # a person is there; a custodian chooses a passphrase
DEVICE = "device"  # the serial of a device is read from it
GIVE = "give"  # a custodian copies a new part, and types it back
ENTER = "enter"  # a custodian types a part
CONFIRM_PART = "confirm_part"  # auditor, then witness
JOIN = "join"  # the check value of the whole
CONFIRM_KEY = "confirm_key"
KEEP = "keep"  # into the backend; the parts are wiped
CLOSE = "close"
DONE = "done"

EVENTS_MAX = 10_000  # typing errors are minuted; a ceremony with more of them is none
NOTE_MAX = 200

Draw = Callable[[str], bytes]  # 16 bytes for what the text names

# States of a key of the ceremony
_OPEN, _JOINED, _MAKING, _KEPT = "open", "joined", "making", "kept"


class CeremonyError(KeysError):
    """The ceremony refuses. The message says what to do."""


class OutOfTurn(CeremonyError):
    """Another step comes first."""


class Locked(CeremonyError):
    """A custodian's passphrase is needed first."""


class MixedKeys(CeremonyError):
    """Test keys and production keys were about to meet."""


class WrongBackend(CeremonyError):
    """Not the vault or token that this ceremony's keys went into, or one that holds such keys already."""


class Disagreed(CeremonyError):
    """A device, an envelope or a check value is another than planned or read aloud."""


class Step(NamedTuple):
    kind: str
    who: str = ""  # person id
    key_id: str = ""
    custodian: str = ""  # whose part it is about
    device: int = 0  # index in the plan


class Keeper(Protocol):
    """Where the keys go: as much of a backend.Backend as a ceremony uses."""

    @property
    def test(self) -> bool: ...

    def infos(self) -> list[KeyInfo]: ...

    def put(self, info: KeyInfo, value: bytes) -> None: ...

    def make(self, info: KeyInfo) -> KeyInfo: ...

    def change(self, info: KeyInfo) -> None: ...


class Pair:
    """A token, and a vault for the keys that the token lacks the algorithm of."""

    def __init__(self, first: Keeper, second: Keeper) -> None:
        if first.test != second.test:
            raise MixedKeys("the token and the vault: one is for tests, the other for production; they never mix")
        self.test = first.test
        self._both = (first, second)

    def infos(self) -> list[KeyInfo]:
        return [info for each in self._both for info in each.infos()]

    def put(self, info: KeyInfo, value: bytes) -> None:
        try:
            self._both[0].put(info, value)
        except Lacks:
            self._both[1].put(info, value)

    def make(self, info: KeyInfo) -> KeyInfo:
        try:
            return self._both[0].make(info)
        except Lacks:
            return self._both[1].make(info)

    def change(self, info: KeyInfo) -> None:
        for each in self._both:
            if any(kept.key_id == info.key_id for kept in each.infos()):
                each.change(info)


class Ceremony:
    """begin or resume, then `step` and the call it names, until DONE. `backend` is None: to look at it only."""

    def __init__(
        self,
        file: StateFile,
        body: dict[str, Any],
        backend: Keeper | None,
        now_s: Callable[[], int],
        draw: Draw | None = None,
    ) -> None:
        self.plan = plan_of(json.loads(body["plan"]))
        self._file = file
        self._body = body
        self._backend = backend
        self._now_s = now_s
        self._draw = draw
        self._safes: dict[str, PartSafe] = {}

    @classmethod
    def begin(
        cls,
        path: Path,
        plan: Plan,
        backend: Keeper,
        passphrase: str,
        now_s: Callable[[], int],
        draw: Draw | None = None,
    ) -> "Ceremony":
        """A new ceremony, durable on return.

        passphrase  of the ceremony, the master's: seals the file
        draw        each new part and key, in place of random ones: for tests that must come out the same
        raises      MixedKeys, WrongBackend, StateError
        """
        if plan.test != backend.test:
            ours, other = ("test", "production") if plan.test else ("production", "test")
            raise MixedKeys(f"a {ours} ceremony, and keys for {other}: they never mix; name another plan or vault")
        if draw is not None and not plan.test:
            raise MixedKeys("a production ceremony draws its keys at random")
        file = StateFile.create(path, plan.test, passphrase)
        keys = {key.key_id: {"state": _OPEN, "kcv": "", "confirmed": [], "parts": {}} for key in plan.keys}
        body = {
            "plan": plan.text,
            "attended": [],
            "custodians": {},
            "devices": 0,
            "keys": keys,
            "events": [],
            "video": "",
            "remarks": "",
            "closed_s": 0,
            "aborting": False,
        }
        ceremony = cls(file, body, backend, now_s, draw)
        ceremony._check_backend()
        ceremony._note("begun", ceremony._one(MASTER))
        ceremony._save()
        return ceremony

    @classmethod
    def resume(
        cls,
        path: Path,
        passphrase: str,
        backend: Keeper | None,
        now_s: Callable[[], int],
        draw: Draw | None = None,
    ) -> "Ceremony":
        """Raises StateError and its kinds, MixedKeys, WrongBackend."""
        file, body = StateFile.load(path, passphrase)
        ceremony = cls(file, body, backend, now_s, draw)
        if draw is not None and not ceremony.plan.test:
            raise MixedKeys("a production ceremony draws its keys at random")
        if ceremony.plan.test != file.test:
            raise Tampered(f"{path} is marked as another kind than its plan: begin anew")
        if backend is not None:
            ceremony._check_backend()
        return ceremony

    @property
    def test(self) -> bool:
        return self.plan.test

    @property
    def closed(self) -> bool:
        return bool(self._body["closed_s"])

    def step(self) -> Step:
        """What comes next. Raises CeremonyError for a ceremony whose abort was begun: only `abort` goes on."""
        if self._body["aborting"]:
            raise CeremonyError("this ceremony is being aborted: finish that with `ykt keys ceremony abort`")
        if self.closed:
            return Step(DONE)
        for person in self.plan.persons:
            if person.person_id not in self._body["attended"]:
                return Step(ATTEND, person.person_id)
        if self._body["devices"] < len(self.plan.devices):
            return Step(DEVICE, self._one(AUDITOR), device=self._body["devices"])
        for key in self.plan.keys:
            if (step := self._step_of(key)) is not None:
                return step
        return Step(CLOSE, self._one(MASTER))

    def _step_of(self, key: PlannedKey) -> Step | None:
        state = self._body["keys"][key.key_id]
        if key.origin == MAKE:
            if state["state"] != _KEPT:
                return Step(KEEP, self._one(MASTER), key.key_id)
            return self._confirmation(CONFIRM_KEY, state["confirmed"], key.key_id)
        if state["state"] == _OPEN:
            for custodian in key.custodians:
                part = state["parts"].get(custodian)
                if part is None or not part["entered"]:
                    return Step(GIVE if key.origin == SPLIT else ENTER, custodian, key.key_id, custodian)
                if step := self._confirmation(CONFIRM_PART, part["confirmed"], key.key_id, custodian):
                    return step
            return Step(JOIN, self._one(MASTER), key.key_id)
        if state["state"] == _JOINED and (step := self._confirmation(CONFIRM_KEY, state["confirmed"], key.key_id)):
            return step
        return None if state["state"] == _KEPT else Step(KEEP, self._one(MASTER), key.key_id)

    def _confirmation(self, kind: str, confirmed: list[str], key_id: str, custodian: str = "") -> Step | None:
        for role in (AUDITOR, WITNESS):
            if self._one(role) not in confirmed:
                return Step(kind, self._one(role), key_id, custodian)
        return None

    def wants_passphrases(self) -> list[str]:
        """Custodians who have to `unlock` before the present step."""
        step = self.step()
        wanted: tuple[str, ...] = ()
        if step.kind in (GIVE, ENTER):
            key = self.plan.key(step.key_id)
            first_share = step.kind == GIVE and key.method == SLIP39 and not self._parts(key.key_id)
            wanted = key.custodians if first_share else (step.custodian,)
        elif step.kind in (JOIN, KEEP):
            wanted = self.plan.key(step.key_id).custodians
        return [each for each in wanted if each not in self._safes]

    def attend(self, person_id: str, passphrase: str = "") -> None:
        """The person is there and was recognised. A custodian's passphrase protects the parts he enters."""
        self._at(ATTEND, who=person_id)
        if CUSTODIAN in self.plan.person(person_id).roles:
            check_passphrase(passphrase, self.test)
            safe = PartSafe(passphrase, secrets.token_bytes(16))
            self._safes[person_id] = safe
            self._body["custodians"][person_id] = {"salt": safe.salt.hex(), "check": safe.check.hex()}
        self._body["attended"].append(person_id)
        self._note("attended", person_id)
        self._save()

    def unlock(self, custodian: str, passphrase: str) -> None:
        """After a resume. Raises WrongPassphrase."""
        kept = self._body["custodians"].get(custodian)
        if kept is None:
            raise OutOfTurn(f"{custodian} has not chosen a passphrase yet")
        safe = PartSafe(passphrase, bytes.fromhex(kept["salt"]))
        if not hmac.compare_digest(safe.check, bytes.fromhex(kept["check"])):
            raise WrongPassphrase(f"not the passphrase that {self.plan.person(custodian).name} chose")
        self._safes[custodian] = safe

    def forget(self, custodian: str) -> None:
        """A custodian lost the passphrase: what it protects is entered again, under a new one."""
        if self._body["custodians"].pop(custodian, None) is None:
            raise CeremonyError(f"{custodian} is no custodian here who has chosen a passphrase")
        self._safes.pop(custodian, None)
        self._body["attended"].remove(custodian)
        for key in self.plan.keys:
            state = self._body["keys"][key.key_id]
            if custodian in key.custodians and state["state"] in (_OPEN, _JOINED):
                lost = key.custodians if key.origin == SPLIT else (custodian,)
                for each in lost:
                    state["parts"].pop(each, None)
                state.update(state=_OPEN, kcv="", confirmed=[])
        self._note("forgot", custodian)
        self._save()

    def device(self, serial: str) -> None:
        """The serial as it stands on the device. Raises Disagreed."""
        step = self._at(DEVICE)
        device = self.plan.devices[step.device]
        if serial.strip().upper() != device.serial.upper():
            self._refused("device", step.who, f"{device.kind} {device.serial}")
            raise Disagreed(f"{device.kind}: the plan has the serial {device.serial}; is this the right device?")
        self._body["devices"] += 1
        self._note("device", step.who, note=f"{device.kind} {device.serial}")
        self._save()

    def part_to_copy(self) -> list[str]:
        """The lines of a new part for its custodian; the same ones until he has typed them back."""
        step = self._at(GIVE)
        key = self.plan.key(step.key_id)
        if step.custodian not in self._parts(key.key_id):
            self._draw_parts(key, step.custodian)
        return components.show(key.method, self._open_part(key.key_id, step.custodian))

    def kcv_of(self, step: Step) -> str:
        """The check value that a step is about: of a part, or of the whole."""
        state = self._body["keys"][step.key_id]
        return str((state["parts"][step.custodian] if step.custodian else state)["kcv"])

    def enter(self, typed: str, kcv: str, envelope: str) -> str:
        """A custodian's part, the check value on its slip, the number of its envelope. Returns the check value.

        raises  BadPart, WrongCheckValue, EqualParts; Disagreed: another envelope, or not what was to be copied
        """
        step = self._at(GIVE, ENTER)
        try:
            return self._enter(step, typed, kcv, envelope)
        except (PartRefused, Disagreed, MixedKeys) as refusal:
            self._refused("part", step.who, type(refusal).__name__, step.key_id)
            raise

    def _enter(self, step: Step, typed: str, kcv: str, envelope: str) -> str:
        key = self.plan.key(step.key_id)
        name = self.plan.person(step.custodian).name
        envelope = envelope.strip()
        if not envelope or len(envelope) > 40 or not envelope.isprintable():
            raise BadPart("the number of the envelope is missing, or longer than 40 characters")
        if key.envelopes.get(step.custodian, envelope) != envelope:
            raise Disagreed(f"the plan has envelope {key.envelopes[step.custodian]} for {name}; this is another")
        part = components.parse(key.method, typed)
        if key.method == SLIP39 and components.threshold_of(part) != key.threshold:
            raise BadPart(f"this share is one of {components.threshold_of(part)}; the plan has {key.threshold}")
        found = components.check_kcv(kcv, key.algorithm, components.value_of(key.method, part), f"part of {name}")
        planned = key.part_kcvs.get(step.custodian)
        if planned is not None:
            components.check_kcv(planned, key.algorithm, components.value_of(key.method, part), f"part of {name}")
        self._refuse_known(key, found, f"part of {name}")
        others = {who: each for who, each in self._parts(key.key_id).items() if who != step.custodian}
        if any(each["kcv"] == found for each in others.values()):
            raise EqualParts(f"{name} typed what another custodian typed: each takes the envelope with his own number")
        if step.kind == GIVE:
            drawn = self._parts(key.key_id).get(step.custodian)
            if drawn is None or not hmac.compare_digest(self._open_part(key.key_id, step.custodian), part):
                raise Disagreed("this is not the part that was shown: compare the slip with the screen")
        self._put_part(key, step.custodian, part, entered=True, envelope=envelope)
        self._note("entered", step.custodian, key.key_id, found, envelope)
        self._save()
        return found

    def confirm(self, agrees: bool) -> None:
        """The person of the step read the check value aloud, and it is, or is not, what stands on paper."""
        step = self._at(CONFIRM_PART, CONFIRM_KEY)
        state = self._body["keys"][step.key_id]
        part = state["parts"].get(step.custodian)
        of = state if step.kind == CONFIRM_KEY else part
        kcv = of["kcv"]
        if agrees:
            of["confirmed"].append(step.who)
            self._note("confirmed_part" if part else "confirmed_key", step.who, step.key_id, kcv, step.custodian)
        else:
            of["confirmed"].clear()
            if part:
                part["entered"] = False
                if self.plan.key(step.key_id).origin != SPLIT:
                    del state["parts"][step.custodian]
            elif state["state"] == _JOINED:
                self._begin_again(step.key_id)
            self._refused("kcv", step.who, kcv, step.key_id)
        self._save()

    def join(self) -> str:
        """The check value of the whole, which both confirm before it is kept.

        raises  WrongCheckValue, BadPart, EqualParts, MixedKeys: then the parts of this key are entered again
        """
        step = self._at(JOIN)
        key = self.plan.key(step.key_id)
        parts = [self._open_part(key.key_id, custodian) for custodian in key.custodians]
        try:
            value = components.join(key.method, parts)
            found = components.kcv(key.algorithm, value)
            if key.kcv and found != key.kcv:
                raise WrongCheckValue(
                    f"key {key.key_id}: its check value is {found}, the plan has {key.kcv}: a part of another key, or "
                    "an old envelope; its parts are entered again"
                )
            self._refuse_known(key, found, f"key {key.key_id}")
            self._refuse_twice(key, found)
        except (PartRefused, MixedKeys) as refusal:
            self._begin_again(key.key_id)
            self._refused("key", step.who, type(refusal).__name__, key.key_id)
            raise
        self._body["keys"][key.key_id].update(state=_JOINED, kcv=found)
        self._note("joined", step.who, key.key_id, found)
        self._save()
        return found

    def keep(self) -> str:
        """Put the joined key into the backend, or have it made there; its parts are wiped. Returns the check value."""
        step = self._at(KEEP)
        key = self.plan.key(step.key_id)
        state = self._body["keys"][key.key_id]
        there = self._info(key.key_id)
        if state["state"] != _MAKING:
            if there is not None:
                raise WrongBackend(f"key {key.key_id} (KCV {there.kcv}) was put there meanwhile: abort, ask who did")
            state["state"] = _MAKING
            self._save()
        if there is None:
            there = self._into_backend(key, state["kcv"])
        elif there.state == DESTROYED or (state["kcv"] and there.kcv != state["kcv"]):
            raise WrongBackend(f"key {key.key_id} (KCV {there.kcv}) is another one, or destroyed: abort this ceremony")
        state.update(state=_KEPT, kcv=there.kcv)
        for part in state["parts"].values():
            part["sealed"] = ""
        self._note("made" if key.origin == MAKE else "kept", step.who, key.key_id, there.kcv)
        self._save()
        return there.kcv

    def close(self, video: str, remarks: str = "") -> None:
        """The last step: the keys may be used from now on. The next version of a card's key waits for its roll."""
        step = self._at(CLOSE)
        for text in (video, remarks):
            if len(text) > NOTE_MAX or not text.isprintable():
                raise CeremonyError(f"video and remarks have at most {NOTE_MAX} printable characters each")
        for key in self.plan.keys:
            info = self._info(key.key_id)
            if info is not None and info.state == GENERATED and not self._follows(info):
                self._keys().change(info._replace(state=ACTIVE, activates_s=self._now_s()))
        self._body.update(video=video.strip() or self.plan.video, remarks=remarks.strip())
        self._note("closed", step.who)
        self._body["closed_s"] = self._body["events"][-1]["at_s"]
        self._save()

    def abort(self) -> list[str]:
        """Leave nothing: parts wiped, keys of this ceremony destroyed, the file gone. Returns the destroyed ids."""
        if self.closed:
            raise CeremonyError("this ceremony is closed and its keys are in use: take keys back with `ykt keys`")
        self._body["aborting"] = True
        for state in self._body["keys"].values():
            state["parts"] = {}
        self._save()
        destroyed = []
        for key_id, state in self._body["keys"].items():
            info = self._info(key_id) if state["state"] in (_MAKING, _KEPT) else None
            if info is not None and info.state != DESTROYED:
                self._keys().change(info._replace(state=DESTROYED, destroys_s=self._now_s()))
                destroyed.append(key_id)
        self._file.remove()
        return destroyed

    def record(self) -> dict[str, Any]:
        """All that the minutes tell: no part, no key, nothing encrypted."""
        keys = []
        for key in self.plan.keys:
            state = self._body["keys"][key.key_id]
            parts = [
                {"custodian": custodian, **{name: part[name] for name in ("envelope", "kcv", "confirmed")}}
                for custodian in key.custodians
                if (part := state["parts"].get(custodian)) is not None and part["entered"]
            ]
            names = ("key_id", "purpose", "algorithm", "level", "subject", "version", "index", "origin", "method")
            keys.append(
                {name: getattr(key, name) for name in names}
                | {"threshold": key.threshold, "kcv": state["kcv"], "confirmed": state["confirmed"]}
                | {"kept": state["state"] == _KEPT, "parts": parts}
            )
        plan = self.plan
        return {
            "format": "yikatong ceremony minutes",
            "version": 1,
            "test": plan.test,
            "title": {"zh": plan.title_zh, "en": plan.title_en},
            "place": {"zh": plan.place_zh, "en": plan.place_en},
            "date": plan.date,
            "plan_sha256": plan.digest,
            "persons": [{**person._asdict(), "roles": list(person.roles)} for person in plan.persons],
            "devices": [device._asdict() for device in plan.devices],
            "keys": keys,
            "events": self._body["events"],
            "video": self._body["video"],
            "remarks": self._body["remarks"],
            "closed_s": self._body["closed_s"],
        }

    def _at(self, *kinds: str, who: str = "") -> Step:
        """The present step, if it is one of these. Raises OutOfTurn, Locked."""
        step = self.step()
        if step.kind not in kinds or (who and step.who != who):
            raise OutOfTurn(f"now comes {step.kind} {step.key_id or step.who}".rstrip())
        locked = self.wants_passphrases()
        if locked:
            raise Locked(f"first the passphrase of {self.plan.person(locked[0]).name}")
        return step

    def _draw_parts(self, key: PlannedKey, custodian: str) -> None:
        """XOR: this custodian's component, so that the key is nowhere until it is joined. SLIP-39: all shares."""
        if key.method == XOR:
            self._put_part(key, custodian, self._drawn(f"{key.key_id} {custodian}").hex().upper())
        else:
            shares = components.split(self._drawn(key.key_id), len(key.custodians), key.threshold)
            for each, share in zip(key.custodians, shares, strict=True):
                self._put_part(key, each, share)
        self._save()

    def _drawn(self, what: str) -> bytes:
        return components.draw() if self._draw is None else self._draw(what)

    def _put_part(
        self, key: PlannedKey, custodian: str, part: str, entered: bool = False, envelope: str = ""
    ) -> None:
        closed = self._safes[custodian].close(part, self._label(key.key_id, custodian))
        self._parts(key.key_id)[custodian] = {
            "kcv": components.kcv(key.algorithm, components.value_of(key.method, part)),
            "envelope": envelope,
            "sealed": closed.hex(),
            "entered": entered,
            "confirmed": [],
        }

    def _open_part(self, key_id: str, custodian: str) -> str:
        closed = bytes.fromhex(self._parts(key_id)[custodian]["sealed"])
        return self._safes[custodian].open(closed, self._label(key_id, custodian))

    def _label(self, key_id: str, custodian: str) -> bytes:
        return json.dumps([self._file.salt.hex(), key_id, custodian]).encode()

    def _parts(self, key_id: str) -> dict[str, dict[str, Any]]:
        parts: dict[str, dict[str, Any]] = self._body["keys"][key_id]["parts"]
        return parts

    def _begin_again(self, key_id: str) -> None:
        self._body["keys"][key_id].update(state=_OPEN, kcv="", confirmed=[], parts={})

    def _into_backend(self, key: PlannedKey, kcv: str) -> KeyInfo:
        info = KeyInfo(
            key.key_id, key.purpose, key.algorithm, key.level, key.subject, kcv, key.version, key.index,
            state=GENERATED, created_s=self._now_s(),
        )  # fmt: skip
        if key.origin == MAKE and self._draw is None:
            made = self._keys().make(info)
            if not self.test and self._known(key, made.kcv):  # one in 16 million by chance
                self._keys().change(made._replace(state=DESTROYED, destroys_s=self._now_s()))
                raise MixedKeys(f"key {key.key_id}: its check value {made.kcv} is a known test key's; make another one")
            return made
        if key.origin == MAKE:
            value = self._drawn(key.key_id)
            info = info._replace(kcv=components.kcv(key.algorithm, value))
        else:
            parts = [self._open_part(key.key_id, custodian) for custodian in key.custodians]
            value = components.join(key.method, parts)
        self._keys().put(info, value)
        return info

    def _refuse_known(self, key: PlannedKey, kcv: str, what: str) -> None:
        if not self.test and (origin := self._known(key, kcv)):
            raise MixedKeys(f"{what} (KCV {kcv}) is known from {origin}: no production key has it")

    def _refuse_twice(self, key: PlannedKey, kcv: str) -> None:
        """One value under two names: who has one key has the other, and a lost version comes back as a new one."""
        for info in self._keys().infos():
            if (info.algorithm, info.kcv) == (key.algorithm, kcv) and info.state != DESTROYED:
                raise EqualParts(
                    f"key {key.key_id}: its check value {kcv} is that of {info.key_id}, which is kept: take the "
                    "envelopes of this key; its parts are entered again"
                )

    @staticmethod
    def _known(key: PlannedKey, kcv: str) -> str:
        return KNOWN_TEST_KCVS.get(key.algorithm, {}).get(kcv, "")

    def _check_backend(self) -> None:
        """The backend is of our kind, holds what was kept, and nothing under the names still to come."""
        if self._keys().test != self.test:
            raise MixedKeys("test keys and production keys never mix: name the vault this ceremony began with")
        there = {info.key_id: info for info in self._keys().infos()}
        for key_id, state in self._body["keys"].items():
            info = there.get(key_id)
            if state["state"] == _KEPT and not self._body["aborting"]:
                if info is None or info.kcv != state["kcv"] or info.state == DESTROYED:
                    raise WrongBackend(f"key {key_id} (KCV {state['kcv']}) is not there: name the vault it went into")
            elif state["state"] in (_OPEN, _JOINED) and info is not None:
                raise WrongBackend(f"key {key_id} (KCV {info.kcv}) is there already: give the plan's key another id")

    def _follows(self, info: KeyInfo) -> bool:
        """An earlier version was there: PSAMs have the new one first, and then cards. `ykt keys roll` does it."""
        ours = {key.key_id for key in self.plan.keys}
        return info.purpose in OF_CARDS and any(
            (other.purpose, other.algorithm) == (info.purpose, info.algorithm)
            and other.version < info.version
            and other.state != DESTROYED
            and other.key_id not in ours
            for other in self._keys().infos()
        )

    def _info(self, key_id: str) -> KeyInfo | None:
        return next((info for info in self._keys().infos() if info.key_id == key_id), None)

    def _keys(self) -> Keeper:
        if self._backend is None:
            raise WrongBackend("name the vault or token of this ceremony")
        return self._backend

    def _one(self, role: str) -> str:
        return self.plan.of_role(role)[0].person_id

    def _refused(self, what: str, who: str, note: str, key_id: str = "") -> None:
        """Minuted, and durable: a wrong entry is told as it happened."""
        self._note(f"refused_{what}", who, key_id, note=note)
        self._save()

    def _note(self, what: str, who: str, key_id: str = "", kcv: str = "", note: str = "") -> None:
        if len(self._body["events"]) >= EVENTS_MAX:
            raise CeremonyError("too many steps for one ceremony: abort it, and divide the plan")
        self._body["events"].append(
            {"at_s": self._now_s(), "what": what, "who": who, "key_id": key_id, "kcv": kcv, "note": note}
        )

    def _save(self) -> None:
        self._file.save(self._body)
