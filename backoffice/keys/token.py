"""Keys in a PKCS#11 token: a backend.Backend. What happens inside and what does not: backoffice/docs/pkcs11.md.

Kept keys are token objects, sensitive and not extractable, that may only derive. All below them is derived inside as
session objects, which are destroyed before the call returns. One thing leaves a token that is not strict: the own key
of one card, where the token lacks the step that follows (LENDS). It is counted in `lent`.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pkcs11 import exceptions as refusals
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.mechanisms import KeyType, Mechanism

from backoffice.keys import hierarchy, signing, token_link, token_rows
from backoffice.keys import token_objects as objects
from backoffice.keys.backend import DESTROYED, KeyInfo, KeyPath, Lacks, Unavailable
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.keys.schemes import MAC_BYTES
from backoffice.keys.service import NoKey
from backoffice.keys.suites import SUITES
from backoffice.keys.token_abilities import Capability, capabilities
from backoffice.keys.token_link import Config, TokenError, TokenGone
from backoffice.keys.token_rows import Row
from backoffice.keys.vault import MixedKeys, Tampered
from tunion.crypto.mac import padded

CARDS_AT_ONCE = 500  # card keys of one derivation; between two, other threads get at the token

_NO_ROOM = (refusals.ObjectHandleInvalid, refusals.GeneralError, refusals.FunctionFailed, refusals.DeviceError)


class Token:
    """An open token. Its errors: token_link, Lacks, NoKey, vault.Tampered, vault.MixedKeys, hierarchy.Unfit."""

    test: bool

    def __init__(self, config: Config, pin: str, file: Path | None = None) -> None:
        self.config = config
        self._file = file  # locked by a program that writes: two that write at once do not see each other's objects
        self.changes = 0  # grows with each: who has made a table of `infos` makes it anew
        self.lent = 0  # keys of single cards that left the token since it was opened here
        self.on_lend: Callable[[KeyPath, str, int], None] | None = None  # told of each: path above, why, how many
        self._identity = b""  # of the token that was opened
        self._stamp = self._stamp_now()  # what the file system said of the file before the rows were read
        self._link = token_link.link(config, pin)
        self._opened = -1  # the opening of the link that `_rows` and `_found` are of
        self._rows: dict[str, Row] = {}
        self._objects: dict[str, Any] = {}  # object id -> key: all that there were at the first look
        self._found: dict[str, Any] = {}  # key_id -> kept key, its check value seen to be right
        with self._link.use() as session:
            self._read(session)
            for row in self._rows.values():
                if row.info.state == DESTROYED:  # where a process died between the two
                    self._sweep(session, row.info.key_id)

    # --- what is kept ---------------------------------------------------------------------------------------------

    def infos(self) -> list[KeyInfo]:
        """All kept keys, as the token has them now, by their names."""
        with self._link.use() as session:
            self._read(session)
            return [self._rows[key_id].info for key_id in sorted(self._rows)]

    def follow(self) -> None:
        """Read the rows again where another program of this machine wrote some: a lost key is to stop those who run.

        Where the token is away nothing is read and nothing is done; the next call asks again.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        with contextlib.suppress(Unavailable), self._link.use() as session:
            self._read(session)
            self._stamp = stamp

    @property
    def file(self) -> Path:
        """Of what was opened by its file; what is written of it lies beside. Raises TokenError."""
        if self._file is None:
            raise TokenError(f"token {self.config.token} was opened without a file")
        return self._file

    def info(self, key_id: str) -> KeyInfo:
        """Raises NoKey."""
        with self._link.use() as session:
            return self._row(session, key_id).info

    def put(self, info: KeyInfo, value: bytes) -> None:
        """Take a key in; backend.Backend.put."""
        if len(value) != hierarchy.KEY_BYTES.get(info.algorithm):
            raise TokenError(f"key {info.key_id}: this is not the length of a key of {info.algorithm}")
        public = b""
        if info.algorithm == "ES256":
            if not signing.is_private(value):
                raise TokenError(f"key {info.key_id}: a signing key is a number of the group")
            public = signing.public_key(value)

        def create(session: Any, template: dict[Attribute, Any]) -> tuple[Any, bytes]:
            stored = objects.with_parity(info.algorithm, value)
            return session.create_object({**template, Attribute.VALUE: stored}), public

        self._keep(info, create, "", info.kcv)

    def make(self, info: KeyInfo) -> KeyInfo:
        """A random key, made inside; backend.Backend.make."""

        def create(session: Any, template: dict[Attribute, Any]) -> tuple[Any, bytes]:
            if info.algorithm == "ES256":
                return objects.make_pair(session, template)
            family = objects.FAMILIES.get(info.algorithm)
            key_type = family.key_type if family else KeyType.GENERIC_SECRET
            made = session.generate_key(
                key_type,
                None if key_type in objects.TYPES_WITHOUT_LENGTH else 8 * hierarchy.KEY_BYTES[info.algorithm],
                capabilities=0,
                template=template,
            )
            return made, b""

        return self._keep(info, create, "", None)

    def derive(self, parent_id: str, factor: bytes, info: KeyInfo) -> KeyInfo:
        """Keep a key one step below another; backend.Backend.derive."""
        above = self.info(parent_id)
        if (info.purpose, info.algorithm) != (above.purpose, above.algorithm) or info.algorithm not in objects.FAMILIES:
            raise TokenError(f"key {info.key_id}: what is derived from {parent_id} has its purpose and algorithm")
        data = objects.both(factor)

        def create(session: Any, template: dict[Attribute, Any]) -> tuple[Any, bytes]:
            kept = self._kept(session, parent_id)
            kind = objects.FAMILIES[info.algorithm].key_type
            return objects.derive(kept, info.algorithm, data, kind, template=template), b""

        return self._keep(info._replace(parent=parent_id), create, factor.hex(), None)

    def change(self, info: KeyInfo) -> None:
        """Another state or date; backend.Backend.change."""
        hierarchy.check(info)
        with self._writing(info.key_id) as session:
            old = self._row(session, info.key_id)
            if _identity(old.info) != _identity(info):
                raise TokenError(f"key {info.key_id}: only its state and dates change")
            if old.info.state == DESTROYED:
                raise TokenError(f"key {info.key_id} is destroyed: nothing of it changes")
            gone = info.state == DESTROYED
            row = old._replace(number=old.number + 1, info=info, object_id="" if gone else old.object_id)
            with self._all_or_nothing(session, row):
                token_rows.write(session, row)
                self._confirm(session, row, alone=False)
            if gone:
                objects.erase_keys(session, bytes.fromhex(old.object_id))
            for stale, data in token_rows.of_key(session, info.key_id)[1:]:
                if stale.number < row.number:
                    data.destroy()
            self._remember(info.key_id, row)

    def _keep(
        self, info: KeyInfo, create: Callable[[Any, dict[Attribute, Any]], tuple[Any, bytes]], factor: str,
        kcv: str | None,
    ) -> KeyInfo:  # fmt: skip
        """Store what `create` makes, its row last: without one a key is none. kcv None: the token says it."""
        hierarchy.check(info)
        if info.state == DESTROYED:
            raise TokenError(f"key {info.key_id}: what is destroyed is not taken in")
        if info.algorithm not in (*objects.FAMILIES, "HMAC", "ES256"):
            raise Lacks(f"key {info.key_id}: a PKCS#11 token has no {info.algorithm}; keep it in the second provider")
        with self._writing(info.key_id) as session:
            if info.key_id in self._rows:
                raise TokenError(f"key {info.key_id} is in the token already")
            self._need(info.algorithm)
            self._sweep(session, info.key_id)
            object_id = secrets.token_bytes(16)
            row = Row(1, object_id.hex(), factor, "", info)
            with self._all_or_nothing(session, row):
                key, public = create(session, objects.template(info, object_id))
                row = row._replace(public=public.hex())
                said = objects.kcv(key, info.algorithm, public)
                if kcv not in (None, said):
                    raise TokenError(f"key {info.key_id}: its check value is not {kcv}; check what was entered")
                row = row._replace(info=info._replace(kcv=said))
                self._refuse_mix(row.info)
                token_rows.write(session, row)
                self._confirm(session, row, alone=True)
            self._remember(info.key_id, row)
            return row.info

    @contextmanager
    def _writing(self, key_id: str) -> Iterator[Any]:
        """The session of the only program on this machine that writes, with the rows of this key read anew."""
        with self._link.use() as session, ExitStack() as closed:
            if self._file is not None:
                fcntl.flock(closed.enter_context(self._file.open("rb")), fcntl.LOCK_EX)
                self._stamp_anew(self._file)  # who may not do that is refused before anything is written
                closed.callback(self._stamp_anew, self._file)
            if self._opened != self._link.opened:
                self._read(session)
            found = token_rows.of_key(session, key_id)
            self._remember(key_id, found[0][0] if found else None)
            yield session

    def _confirm(self, session: Any, row: Row, alone: bool) -> None:
        """The token has what was written. alone: the row is the only one of its name; else none is as new."""
        found = [one for one, _ in token_rows.of_key(session, row.info.key_id)]
        if row not in found:
            raise token_link.full(self.config.token)
        if len([one for one in found if alone or one.number >= row.number]) > 1:
            raise TokenError(f"key {row.info.key_id}: another program is changing it: look at it and try again")

    @contextmanager
    def _all_or_nothing(self, session: Any, row: Row) -> Iterator[None]:
        """Where the block raises, its key and row are taken out again; why a full token raises, modules disagree."""
        try:
            token_rows.try_room(session)
            yield
        except BaseException as error:
            if not self._link.present():
                raise TokenGone(f"token {self.config.token} went away: see what it holds when it is back") from error
            for one, data in token_rows.of_key(session, row.info.key_id):
                if (one.number, one.object_id) == (row.number, row.object_id):
                    data.destroy()
            if row.number == 1 and row.object_id:
                objects.erase_keys(session, bytes.fromhex(row.object_id))
            if isinstance(error, _NO_ROOM):
                raise token_link.full(self.config.token) from error
            raise

    def _sweep(self, session: Any, key_id: str) -> None:
        """A process that died halfway left a key of this name that no row speaks of."""
        for key in objects.keys_of(session, {Attribute.LABEL: key_id}):
            if key[Attribute.ID] != token_rows.SEAL_ID:
                key.destroy()

    def _refuse_mix(self, info: KeyInfo) -> None:
        where = KNOWN_TEST_KCVS.get(info.algorithm, {}).get(info.kcv)
        if where and not self.test:
            raise MixedKeys(f"key {info.key_id} has the check value {info.kcv} of {where}: no key for production")

    # --- what it does ---------------------------------------------------------------------------------------------

    def kcv(self, path: KeyPath) -> str:
        """6 hex digits."""
        with self._link.use() as session:
            row = self._row(session, path.key_id)
            with self._at(session, path) as key:
                return objects.kcv(key, row.info.algorithm, bytes.fromhex(row.public))

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        """4 bytes; backend.Backend.session_mac. The session key is single DES: 3DES under three equal parts."""
        with self._link.use() as session:
            self._need_cipher(session, path, "3DES")
            single_des = (block * 3, KeyType.DES3, objects.ENCRYPT)
            with self._at(session, path) as key, objects.child(key, "3DES", *single_des) as single:
                return objects.cbc(single, bytes(8), padded(message, 8))[-8:-4]

    def tacs(self, path: KeyPath, cards: Sequence[bytes], messages: Sequence[bytes]) -> list[bytes]:
        """4 bytes each; backend.Backend.tacs. Lends the cards' keys: no mechanism xors the halves of a key."""
        if len(cards) != len(messages):
            raise ValueError("a message for each card")
        suite, out, lent = SUITES["3DES"], [], 0
        try:
            for start in range(0, len(cards), CARDS_AT_ONCE):
                some = cards[start : start + CARDS_AT_ONCE]
                with self._link.use() as session:
                    self._need_cipher(session, path, "3DES")
                    self._must_be_an_issuers(session, path)
                    self._may_lend(path, "a TAC of 3DES takes the xored halves of the card's key")
                    with self._at(session, path) as key:
                        values = objects.read_derived(key, "3DES", b"".join(map(objects.both, some)))
                lent += len(some)
                out += [
                    suite.tac(values[16 * number : 16 * number + 16], message)
                    for number, message in enumerate(messages[start : start + CARDS_AT_ONCE])
                ]
        finally:
            if lent:
                self._tell(path, "tac", lent)
        return out

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        """8 bytes; backend.Backend.auth."""
        with self._link.use() as session:
            algorithm = self._control(session, control)
            with self._at(session, control, objects.ENCRYPT) as key:
                blocks = challenge if algorithm == "3DES" else objects.both(challenge)
                return objects.ecb(key, algorithm, blocks)[:8]

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        """4 bytes; backend.Backend.command_mac."""
        with self._link.use() as session:
            if self._control(session, control) == "3DES":
                return self._retail_mac(session, control, iv, padded(message, 8))
            with self._at(session, control, MechanismFlag.SIGN) as key:
                mac: bytes = key.sign(iv + bytes(8) + message, mechanism=Mechanism.AES_CMAC)
                return mac[:MAC_BYTES]

    def _retail_mac(self, session: Any, control: KeyPath, iv: bytes, blocks: bytes) -> bytes:
        """The left half of a derived key is derived from above as well: the first block of what the whole is."""
        *above, factor = control.factors
        with self._at(session, KeyPath(control.key_id, tuple(above))) as parent:
            with objects.child(parent, "3DES", factor * 3, KeyType.DES3, objects.ENCRYPT) as left:
                value = objects.cbc(left, iv, blocks[:-8])[-8:] if len(blocks) > 8 else iv
            with objects.child(parent, "3DES", objects.both(factor), KeyType.DES2, objects.ENCRYPT) as whole:
                last = bytes(a ^ b for a, b in zip(value, blocks[-8:], strict=True))
                return objects.ecb(whole, "3DES", last)[:MAC_BYTES]

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        """16 or 24 bytes; backend.Backend.wrap."""
        with self._link.use() as session:
            by = self._control(session, control)
            target = self._from_above(session, target)
            of = self._row(session, target.key_id).info.algorithm
            if of not in objects.FAMILIES:
                raise Lacks(f"key {target.key_id} is none that a chip takes")
            *above, factor = target.factors
            parent_path = KeyPath(target.key_id, tuple(above))
            if by == "AES":
                with (
                    self._at(session, control, MechanismFlag.WRAP) as key,
                    self._at(session, parent_path) as parent,
                    objects.child(parent, of, objects.both(factor), KeyType.GENERIC_SECRET, 0, wrappable=True) as value,
                ):
                    wrapped: bytes = key.wrap_key(value, mechanism=Mechanism.AES_KEY_WRAP)
                    return wrapped
            self._must_be_a_cards(session, target)
            self._may_lend(target, "PKCS#11 tokens wrap no key by DES3_ECB")
            with self._at(session, control, objects.ENCRYPT) as key, self._at(session, parent_path) as parent:
                blocks = objects.read_derived(parent, of, objects.both(factor))
                self._tell(target, "wrap", 1)
                return objects.ecb(key, "3DES", blocks)

    def release(self, path: KeyPath, why: str) -> bytes:
        """16 bytes: a card's own key, never one above it."""
        if not why:
            raise TokenError("a key is released for a reason that can be written down")
        with self._link.use() as session:
            info = self._must_be_a_cards(session, path)
            self._may_lend(path, why)
            *above, factor = path.factors
            with self._at(session, KeyPath(path.key_id, tuple(above))) as parent:
                value = objects.read_derived(parent, info.algorithm, objects.both(factor))
            self._tell(path, why, 1)
            return value

    def hmac(self, key_id: str, message: bytes) -> bytes:
        """32 bytes."""
        with self._link.use() as session:
            self._must_have(session, key_id, "HMAC")
            mac: bytes = self._kept(session, key_id).sign(message, mechanism=Mechanism.SHA256_HMAC)
            return mac

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """64 bytes."""
        if len(digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")
        with self._link.use() as session:
            self._must_have(session, key_id, "ES256")
            signature: bytes = self._kept(session, key_id).sign(digest, mechanism=Mechanism.ECDSA)
            return signature

    def public_key(self, key_id: str) -> bytes:
        """65 bytes."""
        with self._link.use() as session:
            return bytes.fromhex(self._must_have(session, key_id, "ES256").public)

    def capabilities(self) -> list[Capability]:
        """What happens where, for a person to read."""
        with self._link.use():
            has = self._link.mechanisms
        return capabilities(has, self.config.strict)

    def close(self) -> None:
        """End the session and the login of this process. Whoever uses the token again opens it anew."""
        with self._link.use():
            self._link.close()

    def _stamp_now(self) -> int:
        """Time of the file, which all who write set; 0 without one."""
        try:
            return 0 if self._file is None else self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    @staticmethod
    def _stamp_anew(file: Path) -> None:
        """To all who have the token open: read its rows again. Always a later time, whatever the clock says."""
        try:
            now_ns = max(time.time_ns(), file.stat().st_mtime_ns + 1)
            os.utime(file, ns=(now_ns, now_ns))
        except OSError as error:
            raise TokenError(f"{file}: {error.strerror}; who writes keys may write this file, too") from error

    # --- the parts of it ------------------------------------------------------------------------------------------

    def _read(self, session: Any) -> None:
        before, same_opening = self._rows, self._opened == self._link.opened
        if not same_opening:
            identity = token_rows.identity(session)
            if self._identity not in (b"", identity):
                self._link.drop()
                raise TokenGone(f"another token is called {self.config.token} now: put back the one that was opened")
            self._identity = identity
        self.test, self._rows = token_rows.read(session)
        self.changes += self._rows != before
        if same_opening:
            for key_id in [name for name in self._found if self._rows.get(name) != before.get(name)]:
                del self._found[key_id]
        else:
            self._opened, self._found, self._objects = self._link.opened, {}, {}

    def _remember(self, key_id: str, row: Row | None) -> None:
        """The newest row of a key, or that there is none."""
        if self._rows.get(key_id) != row:
            self.changes += 1
            self._found.pop(key_id, None)
            self._rows.pop(key_id, None)
            if row is not None:
                self._rows[key_id] = row

    def _row(self, session: Any, key_id: str) -> Row:
        if self._opened != self._link.opened or key_id not in self._rows:
            self._read(session)
        row = self._rows.get(key_id)
        if row is None:
            raise NoKey(f"no key {key_id} in token {self.config.token}: `ykt keys list` shows them")
        return row

    def _kept(self, session: Any, key_id: str) -> Any:
        """The key object, once its check value was seen to be that of the row."""
        row = self._row(session, key_id)
        if row.info.state == DESTROYED:
            raise NoKey(f"key {key_id} is destroyed")
        key = self._found.get(key_id)
        if key is None:
            try:
                key = self._key_object(session, row)
                objects.check_key(key, row)
            except Tampered:
                self._explain_missing(session, row)
                raise
            self._found[key_id] = key
        return key

    def _key_object(self, session: Any, row: Row) -> Any:
        """SoftHSM goes through all its objects at each search, so the first one brings them all."""
        if not self._objects:
            self._objects = {key[Attribute.ID].hex(): key for key in objects.keys_of(session, {})}
        return self._objects.pop(row.object_id, None) or objects.key_object(session, row)

    def _explain_missing(self, session: Any, row: Row) -> None:
        """Raises what is the matter where it is not the key itself: no token, or another program destroyed it."""
        if not self._link.present():
            raise TokenGone(f"token {self.config.token} does not answer: is it in?")
        self._read(session)
        if self._rows.get(row.info.key_id) != row:
            raise NoKey(f"key {row.info.key_id} was changed by another program: look at it and try again")

    @contextmanager
    def _at(self, session: Any, path: KeyPath, duties: int = 0) -> Iterator[Any]:
        """The key at the path, for derivation and `duties`; a kept key has none of these."""
        algorithm = self._row(session, path.key_id).info.algorithm
        key = self._kept(session, path.key_id)
        if path.factors:
            self._need_cipher(session, path, algorithm)
        with ExitStack() as derived:
            for number, factor in enumerate(path.factors, 1):
                uses = objects.DERIVE | (duties if number == len(path.factors) else 0)
                kind = objects.FAMILIES[algorithm].key_type
                key = derived.enter_context(objects.child(key, algorithm, objects.both(factor), kind, uses))
            yield key

    def _from_above(self, session: Any, target: KeyPath) -> KeyPath:
        """A target that is kept, by way of the key that it was derived from."""
        if target.factors:
            return target
        row = self._row(session, target.key_id)
        if not row.factor or row.info.parent not in self._rows:
            raise Lacks(
                f"key {target.key_id} never leaves the token, wrapped neither: keep the level above and derive it"
            )
        return KeyPath(row.info.parent, (bytes.fromhex(row.factor),))

    def _control(self, session: Any, control: KeyPath) -> str:
        """Algorithm of a chip's control key."""
        algorithm = self._row(session, control.key_id).info.algorithm
        if algorithm not in objects.FAMILIES:
            raise Lacks(f"key {control.key_id} is no control key")
        if not control.factors:
            raise Lacks(f"key {control.key_id} only derives: name the chip's key below it")
        return algorithm

    def _must_have(self, session: Any, key_id: str, algorithm: str) -> Row:
        row = self._row(session, key_id)
        if row.info.algorithm != algorithm:
            raise Lacks(f"key {key_id} is no key of {algorithm}")
        return row

    def _need_cipher(self, session: Any, path: KeyPath, algorithm: str) -> None:
        if self._must_have(session, path.key_id, algorithm).info.algorithm not in objects.FAMILIES:
            raise Lacks(f"nothing is derived from key {path.key_id}")

    def _need(self, algorithm: str) -> None:
        if algorithm in objects.FAMILIES:
            wanted = [objects.FAMILIES[algorithm].derive, objects.FAMILIES[algorithm].encrypt]
        else:
            wanted = [Mechanism.SHA256_HMAC if algorithm == "HMAC" else Mechanism.ECDSA]
        missing = [mechanism.name for mechanism in wanted if mechanism not in self._link.mechanisms]
        if missing:
            raise Lacks(f"token {self.config.token} has no {', '.join(missing)}")

    def _must_be_an_issuers(self, session: Any, path: KeyPath) -> None:
        info = self._row(session, path.key_id).info
        if info.purpose != "tac" or hierarchy.depth(info, len(path.factors) + 1) != hierarchy.CARD:
            raise Lacks(f"key {path.key_id}: only what lies above cards makes their TACs")

    def _must_be_a_cards(self, session: Any, path: KeyPath) -> KeyInfo:
        """Where a scheme may have a province's step, two steps below the nation are not yet a card."""
        info = self._row(session, path.key_id).info
        if info.algorithm not in objects.FAMILIES:
            raise Lacks(f"key {path.key_id} never leaves the token")
        chips = info.level == hierarchy.CHIP and path.factors and info.purpose in hierarchy.OF_CHIPS
        cards = info.purpose in hierarchy.OF_CARDS and hierarchy.depth(info, len(path.factors), True) == hierarchy.CARD
        if not chips and not cards:
            raise Lacks(f"key {path.key_id}: no key above that of a single card leaves the token")
        return info

    def _may_lend(self, path: KeyPath, why: str) -> None:
        if self.config.strict:
            raise Lacks(f"key {path.key_id}: {why}, and token {self.config.token} is strict: nothing leaves it")

    def _tell(self, path: KeyPath, why: str, count: int) -> None:
        self.lent += count
        if self.on_lend is not None:
            self.on_lend(path, why, count)


def open_token(config_path: Path, pin: str) -> Token:
    """The token that a file names. Raises TokenError and its kinds, Tampered."""
    return Token(token_link.read_config(config_path), pin, config_path)


def init_token(config: Config, so_pin: str, pin: str, test: bool) -> None:
    """Make a token, for test keys or for production keys, for ever. Raises TokenError."""
    token_link.init(config, so_pin, pin)
    with token_link.link(config, pin).use() as session:
        token_rows.mark(session, test)


def _identity(info: KeyInfo) -> tuple[Any, ...]:
    """What never changes of a key."""
    changing = ("state", "created_s", "activates_s", "retires_s", "destroys_s", "compromised_s")
    return tuple(value for name, value in info._asdict().items() if name not in changing)
