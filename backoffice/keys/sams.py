"""Purchase SAMs are written here: a blank goes in, a PSAM comes out that is tried, or it is not counted as good.

Every step that a chip keeps is said in the database after it happened; the number and the chip's serial are said
before the first. So a chip that is pulled out anywhere goes on when it comes back, and a number never meets two chips.

    outcome                                       the chip                    its number
    pulled out; our MAC not accepted; keys away   goes on when put in again   stays with it, in_process or made
    says no otherwise; a wrong file or MAC        scrapped                    scrapped with it
    wrong transport key; not blank; known         as it was                   none was taken
"""

import os
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from backoffice.cards import channel as ch
from backoffice.cards.channel import Channel, Chip, ChipRefused
from backoffice.cards.line import Line
from backoffice.cards.profile import Profile
from backoffice.keys import sam_life
from backoffice.keys import sam_orders as orders
from backoffice.keys.backend import ACTIVE, KeyPath
from backoffice.keys.sam_orders import OrderKey
from backoffice.keys.service import KeyService
from backoffice.store import sam_tables as tables
from backoffice.store.engine import Store
from backoffice.store.sam_tables import SamRefused
from tunion import bcd
from tunion.card import psam
from tunion.crypto import keys as crypto
from tunion.crypto.mac import padded

TRIAL_FEN = 1
TRIAL_COUNTER = 1  # offline counter of the made-up card
MAC_WRONG = 0x9302
LEVELS = 2  # below the key in a SAM: issuer and card
ALGORITHM_BYTES = {"3DES": 0x00, "SM4": 0x04}
_GOES_ON = (ch.NotAuthenticated, ch.MacRefused, ch.WrongControlKey)  # refusals after which the chip may be resumed
_UPDATABLE = (tables.CHECKED, tables.SHIPPED, tables.RECEIVED, tables.INSTALLED)

NO_CHIP = Chip(bytes(8), b"", b"", 0, 0)
# events that leave the state alone
OWN_CONTROL = "control key written"
NOT_TRANSPORT = "transport key refused"

Clock = Callable[[], int]


class NotBlank(SamRefused):
    """This chip was written by somebody. No number was taken for it."""


class AlreadyMade(SamRefused):
    """This chip has its number. No other was taken for it."""


class Scrapped(SamRefused):
    """The chip failed and is counted as scrapped, its number with it. Put the next one in."""


class CheckFailed(Exception):
    """What a finished chip holds is not what was written."""


class KeysChanged(SamRefused):
    """A key is not the one that was ordered. Nothing was written with it."""


class BatchDone(SamRefused):
    """The batch has all its SAMs."""


class Written(NamedTuple):
    """A SAM that passed its check."""

    sam_no: str
    terminal: str
    chip: str
    resumed: bool
    keys: list[OrderKey]


class Maker:
    """Writes the PSAMs of one batch, one chip after another, on one line."""

    def __init__(self, store: Store, keys: KeyService, batch_id: int, user: str, clock: Clock) -> None:
        """Raises SamRefused, KeysChanged, ProfileError, NoKey."""
        self.batch_id = batch_id
        self._store = store
        self._keys = keys
        self._user = orders.person(user)
        self._clock = clock
        with store.reading() as db:
            self.order = orders.of_batch(db, batch_id)
            self.key_set = orders.keys_of(db, self.order["order_id"])
        self.profile: Profile = orders.profile_of(self.order)
        self._issuer = bytes.fromhex(self.order["issuer_id"])
        self._is_current = False

    def missing(self) -> int:
        """How many good SAMs the batch still lacks."""
        with self._store.reading() as db:
            good = db.execute(
                "SELECT COUNT(*) FROM sam WHERE batch_id = ? AND checked_at_s IS NOT NULL", (self.batch_id,)
            ).fetchone()[0]
        return int(self.order["batch_quantity"]) - int(good)

    def make(self, line: Line) -> Written:
        """Write the chip on the line, or go on with it, until it is checked.

        Raises CardGone (go on with it later), Scrapped, SamRefused and its kinds, ChipRefused, KeysError.
        """
        self._refuse_outdated()
        channel = Channel(line, self.profile, self._keys)
        try:
            return self._make(channel)
        finally:
            channel.close()

    def _make(self, channel: Channel) -> Written:
        chip = channel.open()
        serial = chip.serial.hex().upper()
        with self._store.reading() as db:
            known = db.execute("SELECT * FROM sam WHERE chip = ?", (serial,)).fetchone()
            unbegun = _unbegun(db, self.batch_id, self.order["batch_quantity"])
        resumed = known is not None
        if known is not None:
            self._refuse_finished(known)
        else:
            if not unbegun:
                raise self._done()
            if chip.stage != ch.STAGE_BLANK:
                raise NotBlank(f"this chip is in stage {chip.stage} and was not begun here: put a blank in")
            channel.authenticate(self._transport(chip))
            known = self._begin(serial)
        sam_no = known["sam_no"]
        try:
            if known["state"] == tables.IN_PROCESS:
                self._write(channel, chip, known, resumed)
                with self._store.transaction() as db:
                    tables.move(db, sam_no, tables.MADE, "made", self._user, self._clock())
                    for key in self.key_set:
                        _note_key(db, sam_no, key, self._clock())
            self._check(channel, known)
        except _GOES_ON:
            raise
        except (ChipRefused, CheckFailed) as failed:
            with self._store.transaction() as db:
                tables.move(db, sam_no, tables.SCRAPPED, "scrapped", self._user, self._clock(), str(failed))
            raise Scrapped(f"SAM {sam_no} is scrapped, and its number: {failed}") from failed
        with self._store.transaction() as db:
            kcvs = " ".join(f"{key.purpose} {key.version} {key.kcv}" for key in self.key_set)
            tables.move(db, sam_no, tables.CHECKED, "checked", self._user, self._clock(), kcvs)
        return Written(sam_no, known["terminal"], serial, resumed, self.key_set)

    def _refuse_outdated(self) -> None:
        """The order still holds: its SAMs have not expired, its keys are those whose check values were approved."""
        if self._is_current:
            return
        if bcd.to_digits(bcd.stamp(self._clock())[:4]) > self.order["expiry"]:
            order_id, expiry = self.order["order_id"], self.order["expiry"]
            raise SamRefused(f"the SAMs of order {order_id} expired on {expiry}: order anew")
        for key in self.key_set:
            if self._keys.kcv(self._above(key)) != key.kcv:
                raise KeysChanged(
                    f"{key.purpose} key of version {key.version} has not check value {key.kcv} any more: order anew"
                )
            # a token may refuse to wrap this one: better now, for a chip that does not exist, than half way
            self._keys.wrap(self._control(NO_CHIP), self._above(key))
        self._is_current = True

    def _refuse_finished(self, known: sqlite3.Row) -> None:
        if known["state"] not in (tables.IN_PROCESS, tables.MADE):
            raise AlreadyMade(f"this chip is SAM {known['sam_no']}, {known['state']}: put a blank in")
        if known["batch_id"] != self.batch_id:
            raise AlreadyMade(
                f"this chip is SAM {known['sam_no']} of batch {known['batch_id']}: go on with it in that batch"
            )

    def _done(self) -> BatchDone:
        return BatchDone(
            f"batch {self.batch_id} takes no more chips: all are good, or begun and wait (`ykt keys sams list`)"
        )

    def _begin(self, serial: str) -> sqlite3.Row:
        """Give the chip a number, before anything is written to it."""
        with self._store.transaction() as db:
            if not _unbegun(db, self.batch_id, self.order["batch_quantity"]):
                raise self._done()
            row = db.execute(
                "SELECT sam_no FROM sam WHERE batch_id = ? AND state = ? ORDER BY sam_no LIMIT 1",
                (self.batch_id, tables.ORDERED),
            ).fetchone()
            now_s = self._clock()
            sam_no = row["sam_no"] if row else orders.replace(db, self.batch_id, self._user, now_s)
            db.execute("UPDATE sam SET chip = ? WHERE sam_no = ?", (serial, sam_no))
            tables.move(db, sam_no, tables.IN_PROCESS, "begun", self._user, now_s)
            return tables.sam(db, sam_no)

    def _write(self, channel: Channel, chip: Chip, known: sqlite3.Row, resumed: bool) -> None:
        """From wherever the chip stands to the end of stage 2."""
        stage = chip.stage
        control = self._control(chip)
        if stage == ch.STAGE_BLANK:
            if not resumed or not self._own_control(channel, chip, known["sam_no"], control):
                channel.write_key("control", 0, self.order["control_version"], self.profile.scheme, control)
                self._note(known["sam_no"], OWN_CONTROL)
                channel.authenticate(control)
            try:
                channel.create_application()
            except ch.ApplicationThere:
                if not resumed:
                    raise
            channel.end_stage(ch.STAGE_INITIALISED)
        elif stage == ch.STAGE_INITIALISED:
            channel.authenticate(control)
        if stage != ch.STAGE_PERSONALISED:
            for sfi, content in self._files(known).items():
                channel.update_binary(sfi, content)
            for row in self.profile.keys:
                for key in self.key_set:
                    if (key.purpose, key.algorithm, key.key_index) == (row.purpose, row.algorithm, row.key_index):
                        self._write_key(channel, row.usage, key, resumed)
            channel.end_stage(ch.STAGE_PERSONALISED)

    def _own_control(self, channel: Channel, chip: Chip, sam_no: str, control: KeyPath) -> bool:
        """Authenticate a resumed blank: True where it has its own control key, False where still the transport key.

        Pulled at the command that replaces it, a chip may have either. What it says is noted at once, so that being
        pulled again does not spend its tries.
        """
        with self._store.reading() as db:
            own_first = tables.noted(db, sam_no, OWN_CONTROL) or tables.noted(db, sam_no, NOT_TRANSPORT)
        paths = {True: control, False: self._transport(chip)}
        try:
            channel.authenticate(paths[own_first])
            return own_first
        except ch.WrongControlKey:
            if not own_first:
                self._note(sam_no, NOT_TRANSPORT)
            channel.authenticate(paths[not own_first])
            return not own_first

    def _note(self, sam_no: str, what: str) -> None:
        with self._store.transaction() as db:
            tables.note(db, sam_no, what, self._user, self._clock())

    def _write_key(self, channel: Channel, usage: str, key: OrderKey, resumed: bool) -> None:
        try:
            channel.write_key(usage, key.key_index, key.version, key.algorithm, self._above(key))
        except ch.KeyThere:
            if not resumed:  # else written before it was pulled; the check tells whether it is the right one
                raise

    def _check(self, channel: Channel, known: sqlite3.Row) -> None:
        """Reset it and hold all against what was ordered. Raises CheckFailed, ChipRefused, CardGone."""
        chip = channel.open()
        _require_same(chip, known)
        if chip.stage != ch.STAGE_PERSONALISED:
            raise CheckFailed(f"the chip says it is in stage {chip.stage}")
        files = self._files(known)
        for sfi in (psam.IDENTITY_SFI, psam.TERMINAL_SFI):
            _same_file(channel, sfi, files[sfi])
        select_application(channel)
        _same_file(channel, psam.APPLICATION_SFI, files[psam.APPLICATION_SFI])
        at = self._trial_time()
        for key in self.key_set:
            try_key(channel, self._keys, key, self._issuer, known["terminal"], at)

    def _trial_time(self) -> bytes:
        """A time at which the SAM is valid: now, or its first day."""
        at = bcd.stamp(self._clock())
        start = bcd.from_digits(self.order["start"])
        return at if at[:4] >= start else start + bytes(3)

    def _files(self, known: sqlite3.Row) -> dict[int, bytes]:
        return {
            psam.IDENTITY_SFI: psam.IDENTITY.pack(
                serial=bcd.from_digits("0000" + known["sam_no"]), version=self.profile.version, key_card=1,
                commands=1, fci=1,
            ),
            psam.TERMINAL_SFI: bcd.from_digits(known["terminal"]),
            psam.APPLICATION_SFI: psam.APPLICATION.pack(
                key_index=next(key.key_index for key in self.key_set if key.purpose == "purchase"),
                issuer=self._issuer, receiver=self._issuer, start=bcd.from_digits(self.order["start"]),
                expiry=bcd.from_digits(self.order["expiry"]),
            ),
        }  # fmt: skip

    def _transport(self, chip: Chip) -> KeyPath:
        version = self.order["transport_version"]
        return self._keys.path("transport", self.profile.scheme, version, b"", chip.serial)

    def _control(self, chip: Chip) -> KeyPath:
        return self._keys.path("control", self.profile.scheme, self.order["control_version"], b"", chip.serial)

    def _above(self, key: OrderKey) -> KeyPath:
        return orders.above_issuers(self._keys, key.purpose, key.algorithm, key.version, self._issuer)


def scrap(db: sqlite3.Connection, sam_no: str, reason: str, user: str, now_s: int) -> bool:
    """A chip that was begun and will not come back, or not work. It may hold every key already, so it takes two people:
    True where the second one has said so. Raises SamRefused.
    """
    row = tables.sam(db, sam_no)
    if tables.SCRAPPED not in tables.NEXT[row["state"]]:
        raise SamRefused(f"SAM {sam_no} is {row['state']}: it cannot be scrapped")
    if not sam_life.second(db, sam_no, "scrap", "", user, now_s):
        return False
    tables.move(db, sam_no, tables.SCRAPPED, "scrapped", orders.person(user), now_s, reason)
    return True


def check_again(store: Store, keys: KeyService, line: Line, user: str, clock: Clock) -> Written:
    """Try a SAM that was made here, whichever it is, under the keys that are still in use.

    Raises CheckFailed, SamRefused, ChipRefused, CardGone.
    """
    known, maker, channel = _finished(store, keys, line, user, clock)
    try:
        in_use = {(info.purpose, info.algorithm, info.version) for info in keys.infos() if info.state == ACTIVE}
        on_it = _keys_on(store, known["sam_no"])
        maker.key_set = [key for key in on_it if (key.purpose, key.algorithm, key.version) in in_use]
        if all(key.purpose != "purchase" for key in maker.key_set):
            raise SamRefused(f"SAM {known['sam_no']}: no purchase key of it is in use any more: update or destroy it")
        maker._check(channel, known)
    finally:
        channel.close()
    with store.transaction() as db:
        tables.note(db, known["sam_no"], "checked again", orders.person(user), clock())
    return Written(known["sam_no"], known["terminal"], known["chip"], True, maker.key_set)


def update(store: Store, keys: KeyService, line: Line, user: str, clock: Clock) -> list[OrderKey]:
    """Write every active version that a finished SAM lacks: what a roll-over asks for. Which were written.

    Pulled out on the way, it lacks what was not written, and is put in again. Raises as `check_again`.
    """
    known, maker, channel = _finished(store, keys, line, user, clock)
    try:
        if known["state"] not in _UPDATABLE:
            raise SamRefused(f"SAM {known['sam_no']} is {known['state']}: it takes no new key")
        wanted = orders.key_set(keys, _as_order(maker.order), maker.profile)
        has = {(key.purpose, key.algorithm, key.key_index, key.version) for key in _keys_on(store, known["sam_no"])}
        lacking = [key for key in wanted if key[:4] not in has]
        if not lacking:
            return []
        control = maker._control(Chip(bytes.fromhex(known["chip"]), b"", b"", 0, 0))
        channel.authenticate(control)
        usages = {(row.purpose, row.algorithm, row.key_index): row.usage for row in maker.profile.keys}
        for key in lacking:
            maker._write_key(channel, usages[key[:3]], key, resumed=True)
        _require_same(channel.open(), known)
        select_application(channel)
        for key in lacking:
            try_key(channel, keys, key, maker._issuer, known["terminal"], maker._trial_time())
            with store.transaction() as db:
                _note_key(db, known["sam_no"], key, clock())
                detail = f"{key.purpose} {key.version} {key.kcv}"
                tables.note(db, known["sam_no"], "key added", orders.person(user), clock(), detail)
        return lacking
    finally:
        channel.close()


def select_application(channel: Channel) -> None:
    channel.exchange("select application", b"\x00\xa4\x00\x00\x02" + psam.APPLICATION_FID)


def try_key(
    channel: Channel, keys: KeyService, key: OrderKey, issuer: bytes, terminal: str, at: bytes
) -> None:
    """Let the SAM use a key, for a card that does not exist; the application is selected. Raises CheckFailed."""
    card = os.urandom(8)
    path = keys.path(key.purpose, key.algorithm, key.version, issuer, card)
    if key.purpose == "purchase":
        _try_purchase(channel, keys, path, key, issuer, card, bcd.from_digits(terminal), at)
    else:
        _try_maintenance(channel, keys, path, key, issuer, card)


def _try_purchase(
    channel: Channel, keys: KeyService, path: KeyPath, key: OrderKey, issuer: bytes, card: bytes, terminal: bytes,
    at: bytes,
) -> None:  # fmt: skip
    """MAC1 right; a wrong MAC2 refused; then the right one taken, which clears what a wrong one counted."""
    where = f"purchase key of version {key.version}"
    mac2_message = crypto.PURCHASE_MAC2.pack(amount_fen=TRIAL_FEN)
    for right in (False, True):
        random = os.urandom(4)
        asked = psam.INIT_SAM_FOR_PURCHASE.data
        reply = psam.INIT_SAM_FOR_PURCHASE.reply
        assert asked and reply
        data = asked.pack(
            random=random, counter=TRIAL_COUNTER, amount_fen=TRIAL_FEN, type=crypto.PURCHASE, at=at,
            key_version=key.version, algorithm=ALGORITHM_BYTES[key.algorithm], card=card, issuer=issuer,
        )  # fmt: skip
        apdu = psam.INIT_SAM_FOR_PURCHASE.head + bytes((len(data),)) + data + bytes((reply.size,))
        answer = channel.exchange("INIT SAM FOR PURCHASE", apdu)
        if len(answer) != reply.size:
            raise CheckFailed(f"{where}: INIT SAM FOR PURCHASE answers {len(answer)} bytes")
        said = reply.unpack(answer)
        block = crypto.PURCHASE_SESSION.pack(
            random=random, counter=TRIAL_COUNTER, terminal_low=said.terminal_seq & 0xFFFF
        )
        mac1_message = crypto.PURCHASE_MAC1.pack(amount_fen=TRIAL_FEN, type=crypto.PURCHASE, terminal=terminal, at=at)
        if keys.session_mac(path, block, mac1_message) != said.mac1:
            raise CheckFailed(f"{where}: its MAC1 is not what this key gives")
        mac2 = keys.session_mac(path, block, mac2_message)
        if not right:
            mac2 = bytes((mac2[0] ^ 0xFF,)) + mac2[1:]
        taken = _credit(channel, mac2)
        if taken != right:
            raise CheckFailed(f"{where}: it {'takes a wrong' if taken else 'refuses the right'} MAC2")


def _credit(channel: Channel, mac2: bytes) -> bool:
    try:
        channel.exchange("CREDIT SAM", psam.CREDIT_SAM_FOR_PURCHASE.head + bytes((len(mac2),)) + mac2)
    except ChipRefused as refused:
        if refused.word == MAC_WRONG or refused.word & 0xFFF0 == 0x63C0:
            return False
        raise
    return True


def _try_maintenance(
    channel: Channel, keys: KeyService, path: KeyPath, key: OrderKey, issuer: bytes, card: bytes
) -> None:
    """The MAC of an APPLICATION BLOCK, as a terminal asks for it."""
    challenge = os.urandom(4)
    command = bytes.fromhex("841E000004")
    head = psam.INIT_FOR_DESCRYPT.head[:3] + bytes((key.version,))
    channel.exchange("INIT FOR DESCRYPT", head + bytes((8 * LEVELS,)) + card + issuer)
    data = challenge + bytes(4) + padded(command, 8)
    answer = channel.exchange("DESCRYPT", psam.DESCRYPT_MAC.head + bytes((len(data),)) + data + b"\x04")
    if answer != keys.maintenance_mac(path, challenge, command):
        raise CheckFailed(f"maintenance key of version {key.version}: its MAC is not what this key gives")


def _require_same(chip: Chip, known: sqlite3.Row) -> None:
    """After each reset: what is written down of a SAM is of its own chip."""
    if chip.serial.hex().upper() != known["chip"]:
        raise SamRefused(f"another chip is in the reader than SAM {known['sam_no']}: put that one in again")


def _same_file(channel: Channel, sfi: int, wanted: bytes) -> None:
    if channel.read_binary(sfi, len(wanted)) != wanted:
        raise CheckFailed(f"file {sfi:02X} does not read back as it was written")


def _finished(
    store: Store, keys: KeyService, line: Line, user: str, clock: Clock
) -> tuple[sqlite3.Row, Maker, Channel]:
    """The SAM of ours that is on the line. Raises SamRefused."""
    orders.person(user)
    with store.reading() as db:
        written = db.execute(
            "SELECT profile, MIN(batch_id) AS batch_id FROM sam_order JOIN sam_batch USING (order_id) "
            "WHERE profile <> '' GROUP BY profile ORDER BY batch_id"
        ).fetchall()
    serial, refused = "", None
    for row in written:  # GET CHIP is the profile's own, and nothing else tells what the chip is
        channel = Channel(line, Maker(store, keys, row["batch_id"], user, clock).profile, keys)
        try:
            serial = channel.open().serial.hex().upper()
            break
        except ChipRefused as error:
            refused = error
    if not serial:
        raise refused or SamRefused("no SAM was ordered yet: `ykt keys sams order`")
    with store.reading() as db:
        known = db.execute("SELECT * FROM sam WHERE chip = ?", (serial,)).fetchone()
    if known is None:
        raise SamRefused("this chip is none of ours: put a SAM in that was made here")
    if known["checked_at_s"] is None:
        raise SamRefused(f"SAM {known['sam_no']} is {known['state']}: finish it with `ykt keys sams make`")
    maker = Maker(store, keys, known["batch_id"], user, clock)
    channel = Channel(line, maker.profile, keys)
    _require_same(channel.open(), known)
    return known, maker, channel


def _as_order(row: sqlite3.Row) -> orders.Order:
    return orders.Order(
        row["kind"], row["operator"], row["acquirer"], row["quantity"], row["slots"], bytes.fromhex(row["issuer_id"]),
        row["start"], row["expiry"], row["profile"],
    )  # fmt: skip


def _keys_on(store: Store, sam_no: str) -> list[OrderKey]:
    query = "SELECT purpose, algorithm, key_index, version, kcv FROM sam_key WHERE sam_no = ?"
    with store.reading() as db:
        return sorted(OrderKey(*row) for row in db.execute(query, (sam_no,)))


def _note_key(db: sqlite3.Connection, sam_no: str, key: OrderKey, now_s: int) -> None:
    db.execute(
        "INSERT INTO sam_key VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (sam_no, *key, now_s)
    )


def _unbegun(db: sqlite3.Connection, batch_id: int, quantity: int) -> int:
    """How many chips the batch still takes."""
    busy = db.execute(
        "SELECT COUNT(*) FROM sam WHERE batch_id = ? AND state NOT IN (?, ?)",
        (batch_id, tables.ORDERED, tables.SCRAPPED),
    ).fetchone()[0]
    return int(quantity) - int(busy)
