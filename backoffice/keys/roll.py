"""A new version of keys takes the place of an old one, step by step, and a lost key is marked. docs/keys.md.

    make       version n + 1 of each key, down the hierarchy              generated
    activate   PSAMs take it, cards do not yet                            active, activates_s = NOT_IN_CARDS_S
    issue      every PSAM has it: cards are made with it                  active, activates_s = now
    verify     nothing new with the old version                           verify_only; TAC: a card's life + 2 years
    retire     no card and no SAM needs the old version any more          retired
    destroy    the value is erased, the row stays                         destroyed

Each step is written to the audit before it is done, and done again it changes nothing.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from backoffice.keys import hierarchy
from backoffice.keys.audit import Audit
from backoffice.keys.backend import (
    ACTIVE,
    COMPROMISED,
    DESTROYED,
    GENERATED,
    RETIRED,
    VERIFY_ONLY,
    KeyInfo,
    KeysError,
)  # fmt: skip
from backoffice.keys.hierarchy import NOT_IN_CARDS_S, OF_CARDS, Scheme
from backoffice.store.people import are_two

YEAR_S = 365 * 86400 + 21600
CARD_LIFE_S = 10 * YEAR_S  # our own choice: a card is good for so long where nobody said otherwise
AFTER_LIFE_S = 2 * YEAR_S  # records of a card's last day are disputed for so long
VERSION_MAX = 255
NEVER_PROVED_S = 1  # compromised_s of a key with no date to prove before; 0: not compromised


class NotYet(KeysError):
    """A step before this one is not done, or somebody needs the key still: the message says who. Nothing changed."""


class TwoPersons(KeysError):
    """This takes two persons. Name the second one."""


class Needs(NamedTuple):
    """Who needs a version, counted in the registry."""

    cards: int  # in use, made with it
    sams_without: int  # in terminals, that lack the version asked about


# (purpose, algorithm, version) -> its cards, and the SAMs without it
Counted = Callable[[str, str, int], Needs]


class Keeper(Protocol):
    """What a roll needs of a backend."""

    def infos(self) -> list[KeyInfo]: ...

    def make(self, info: KeyInfo) -> KeyInfo: ...

    def derive(self, parent_id: str, factor: bytes, info: KeyInfo) -> KeyInfo: ...

    def change(self, info: KeyInfo) -> None: ...


class Roll:
    """Changes of one backend's keys, by `user`.

    counted   who needs which version; asked before a step that could leave somebody without a key
    only      the one key that is meant, where a step is not for all of its version
    """

    def __init__(
        self,
        keeper: Keeper,
        counted: Counted,
        user: str,
        audit: Audit | None = None,
        scheme: Scheme | None = None,
        clock: Callable[[], float] = time.time,
        card_life_s: int = CARD_LIFE_S,
        only: str = "",
    ) -> None:
        if not user.strip():
            raise KeysError("a change of keys names who does it")
        self._keeper = keeper
        self._counted = counted
        self._user = user.strip()
        self._audit = audit
        self._scheme = scheme or hierarchy.scheme()
        self._clock = clock
        self._card_life_s = card_life_s
        self._only = only

    def make(self, purposes: Iterable[str], algorithm: str = "3DES") -> list[KeyInfo]:
        """The next version of every key of these purposes, from the top down; returns what was made.

        Keys that lie under a kept parent are derived from its next version, the others are random. What a ceremony
        has put in already, as generated, stays; a call that was interrupted goes on where it stood.
        """
        made = []
        for purpose in purposes:
            rows = self._rows(purpose, algorithm)
            if not rows:
                raise KeysError(f"no {algorithm} {purpose} key to roll over: `ykt keys list` shows what there is")
            made += self._next_version(rows)
        return made

    def activate(self, purpose: str, algorithm: str, version: int) -> list[KeyInfo]:
        """PSAMs take it from now on. Keys that no card carries are in use at once."""
        since_s = NOT_IN_CARDS_S if purpose in OF_CARDS else self._now_s()
        return self._move(self._of(purpose, algorithm, version, GENERATED, ACTIVE), ACTIVE, activates_s=since_s)

    def issue(self, version: int, algorithm: str = "3DES") -> list[KeyInfo]:
        """Cards are made with this version of every key that has it. Raises NotYet where a SAM lacks it."""
        rows = [row for purpose in OF_CARDS for row in self._rows(purpose, algorithm) if row.version == version]
        proving = {row.purpose for row in rows if row.state == ACTIVE}
        if not {"purchase", "tac"} <= proving:
            raise NotYet(f"version {version}: purchase and TAC keys go together, make and activate both")
        without = self._counted("purchase", algorithm, version).sams_without
        if without:
            raise NotYet(f"{without} SAMs lack purchase version {version}: update them with `ykt keys sams update`")
        waiting = [row for row in rows if row.state == ACTIVE and row.activates_s == NOT_IN_CARDS_S]
        return self._move(waiting, ACTIVE, activates_s=self._now_s())

    def verify_only(self, purpose: str, algorithm: str, version: int) -> list[KeyInfo]:
        """Nothing new with it. Raises NotYet where no later version is in cards."""
        rows = self._of(purpose, algorithm, version, ACTIVE, VERIFY_ONLY)
        self._refuse_unless_followed(rows, purpose, algorithm, version)
        if purpose == "purchase":
            self._refuse_needed(purpose, algorithm, version)
        lasts_s = self._card_life_s + AFTER_LIFE_S if purpose == "tac" else 0
        return self._move(rows, VERIFY_ONLY, retires_s=self._now_s() + lasts_s)

    def retire(
        self, purpose: str, algorithm: str, version: int, second: str = "", force: bool = False, reason: str = ""
    ) -> list[KeyInfo]:
        """It does nothing any more. Raises NotYet before its date, or where cards or SAMs need it.

        force  a second person may say that a TAC key's time is over; a purchase key that is needed stays in any case
        """
        rows = self._of(purpose, algorithm, version, None, RETIRED)
        rows = [row for row in rows if row.state != RETIRED]
        if purpose == "tac" and any(row.state == ACTIVE for row in rows):
            raise NotYet(f"TAC version {version} is in use: it verifies only, before it is retired")
        self._refuse_unless_followed(rows, purpose, algorithm, version)
        if purpose in OF_CARDS and purpose != "tac":
            self._refuse_needed(purpose, algorithm, version)
        self._refuse_early(rows, second, force, reason)
        return self._move(rows, RETIRED, second, reason, retires_s=self._now_s())

    def destroy(self, key_id: str, second: str, reason: str, force: bool = False) -> list[KeyInfo]:
        """Erase one key; its row stays. Two persons; NotYet before its date, but for force."""
        self._two(second, reason)
        info = self._info(key_id)
        if info.state == DESTROYED:
            return []
        if DESTROYED not in hierarchy.NEXT[info.state]:
            raise NotYet(f"key {key_id} is {info.state}: it is retired before it is destroyed")
        if info.state == COMPROMISED and info.purpose == "tac":
            ends_s = info.compromised_s + self._card_life_s + AFTER_LIFE_S
            if self._now_s() < ends_s and not force:
                raise NotYet(f"key {key_id} proves older records until {_day(ends_s)}; --force ends it before")
        self._refuse_early([info], second, force, reason)
        return self._move([info], DESTROYED, second, reason, destroys_s=self._now_s())

    def compromise(self, key_id: str, since_s: int, second: str, reason: str) -> list[KeyInfo]:
        """Somebody else may know this key since then, and all that are derived from it. Two persons."""
        self._two(second, reason)
        if not 0 < since_s <= self._now_s():
            raise KeysError("a key is compromised since a day that is not in the future")
        known = {self._info(key_id).key_id}
        rows = self._keeper.infos()
        while more := {row.key_id for row in rows if row.parent in known} - known:
            known |= more
        lost = [
            row
            for row in rows
            if row.key_id in known and row.state != DESTROYED and not 0 < row.compromised_s <= since_s
        ]
        empty = [row for row in lost if not hierarchy.may_verify(row, 0) or row.activates_s > self._now_s()]
        proving = [row for row in lost if row not in empty]
        return [
            *self._move(proving, COMPROMISED, second, reason, compromised_s=since_s),
            # No card proves anything with these, or no more. A date would let its thief prove what is before it.
            *self._move(empty, COMPROMISED, second, reason, compromised_s=NEVER_PROVED_S),
        ]

    def _next_version(self, rows: list[KeyInfo]) -> list[KeyInfo]:
        top = max(row.version for row in rows)
        begun = [row for row in rows if row.version == top and row.state == GENERATED]
        old = max((row.version for row in rows if row.version < top), default=top) if begun else top
        new = top if begun else top + 1
        if new > VERSION_MAX:
            raise KeysError(f"version {VERSION_MAX} is the last one: a version is a byte")
        there = {(row.level, row.subject, row.index): row for row in rows if row.version == new}
        made = []
        for row in sorted((row for row in rows if row.version == old), key=lambda row: _LEVELS.get(row.level, 0)):
            if (row.level, row.subject, row.index) in there or row.state in (DESTROYED, GENERATED):
                continue
            info = self._made(row, new, there, rows)
            there[info.level, info.subject, info.index] = info
            made.append(info)
        return made

    def _made(
        self, old: KeyInfo, version: int, there: dict[tuple[str, str, int], KeyInfo], rows: list[KeyInfo]
    ) -> KeyInfo:
        name = f"{old.key_id.removesuffix(f'-v{old.version}')}-v{version}"
        info = KeyInfo(
            name, old.purpose, old.algorithm, old.level, old.subject, "", version, old.index, GENERATED,
            created_s=self._now_s(),
        )  # fmt: skip
        above = next((row for row in rows if row.key_id == old.parent), None)
        parent = there.get((above.level, above.subject, above.index)) if above else None
        if parent is not None and parent.state not in (GENERATED, ACTIVE):
            why = hierarchy.why_not(parent)
            raise NotYet(f"key {parent.key_id} makes nothing new: {why}; destroy version {version}")
        self._note("make", [name], version=version)
        if parent is None:
            return self._keeper.make(info)
        return self._keeper.derive(parent.key_id, self._factor(old), info)

    def _factor(self, info: KeyInfo) -> bytes:
        """What a kept key was diversified by: its subject says it."""
        subject = bytes.fromhex(info.subject.rpartition(":")[2])
        return self._scheme.factor(info.level, subject) if info.level == hierarchy.ISSUER else subject

    def _refuse_unless_followed(self, rows: list[KeyInfo], purpose: str, algorithm: str, version: int) -> None:
        """Else nothing could be made any more."""
        if purpose not in OF_CARDS or not any(row.state == ACTIVE for row in rows):
            return
        later = [row for row in self._rows(purpose, algorithm) if row.version > version]
        if not any(hierarchy.may_be_in_cards(row, self._now_s()) for row in later):
            raise NotYet(f"no later version of {purpose} is in cards: `ykt keys roll` makes one, then issue it")

    def _refuse_needed(self, purpose: str, algorithm: str, version: int) -> None:
        needs = self._counted(purpose, algorithm, version)
        if needs.cards:
            raise NotYet(f"{needs.cards} cards in use were made with {purpose} version {version}: it stays")
        later = [row.version for row in self._rows(purpose, algorithm) if row.version > version and row.state == ACTIVE]
        without = self._counted(purpose, algorithm, max(later)).sams_without if later else 0
        if purpose == "purchase" and without:
            raise NotYet(f"{without} SAMs lack the version after {version}: update them with `ykt keys sams update`")

    def _refuse_early(self, rows: list[KeyInfo], second: str, force: bool, reason: str) -> None:
        early = [row for row in rows if self._now_s() < row.retires_s and row.state != RETIRED]
        if not early:
            return
        if not force:
            raise NotYet(
                f"key {early[0].key_id} verifies until {_day(early[0].retires_s)}: cards of its version live so long; "
                "--force and a second person end it before"
            )
        self._two(second, reason)

    def _two(self, second: str, reason: str) -> None:
        if not are_two(self._user, second):
            raise TwoPersons(f"this takes two persons: {self._user} and another one, with --second")
        if not reason.strip():
            raise KeysError("say why, with --reason: it is written down")

    def _move(
        self, rows: Iterable[KeyInfo], state: str, second: str = "", reason: str = "", **dates: int
    ) -> list[KeyInfo]:
        """Written down, then done: one key at a time, so a call that was interrupted is made again."""
        moved = []
        for row in rows:
            changed = KeyInfo(**{**row._asdict(), "state": state, **dates})
            said = {"second": second.strip(), "reason": reason.strip(), **dates}
            self._note("state", [row.key_id], was=row.state, now=state, **said)
            self._keeper.change(changed)
            moved.append(changed)
        return moved

    def _note(self, operation: str, key_ids: list[str], **more: Any) -> None:
        if self._audit is not None:
            self._audit.write(operation, key_ids, user=self._user, **more)

    def _of(self, purpose: str, algorithm: str, version: int, was: str | None, to: str) -> list[KeyInfo]:
        """Kept keys of that version that may take this step; those that took it already are left out."""
        rows = [row for row in self._rows(purpose, algorithm) if row.version == version]
        rows = [row for row in rows if self._only in ("", row.key_id)]
        if not rows:
            raise KeysError(f"no {algorithm} {purpose} key of version {version}: `ykt keys list` shows what there is")
        fit = [row for row in rows if (was is None or row.state == was) and to in hierarchy.NEXT[row.state]]
        if not fit and all(row.state != to for row in rows):
            raise NotYet(f"{purpose} version {version} is {rows[0].state}: it does not become {to}")
        return fit

    def _rows(self, purpose: str, algorithm: str) -> list[KeyInfo]:
        return [row for row in self._keeper.infos() if (row.purpose, row.algorithm) == (purpose, algorithm)]

    def _info(self, key_id: str) -> KeyInfo:
        for row in self._keeper.infos():
            if row.key_id == key_id:
                return row
        raise KeysError(f"no key {key_id}: `ykt keys list` shows what there is")

    def _now_s(self) -> int:
        return int(self._clock())


_LEVELS = {hierarchy.NATION: 0, hierarchy.PROVINCE: 1, hierarchy.ISSUER: 2}


def _day(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))
