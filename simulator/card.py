"""A JT/T 978 e-purse card: state machine, dispatch, blocking. Files: card_files. Money: card_purse.

It answers as real cards do, refusals included, and stores all effects of one DEBIT or CREDIT in one step: a copy is
changed, handed to `persist`, and only then becomes the card. Where power fails, all of it happened or nothing.
"""

import os
from collections.abc import Callable

from simulator import card_files, card_purse, sw
from simulator.apdu import Apdu, Refused, need, parse, status
from simulator.card_purse import Transaction
from simulator.image import CardImage
from simulator.randomness import Random, system
from tunion.card import files, purse
from tunion.crypto import keys
from tunion.crypto.mac import maintenance_mac

UNBLOCK_TRIES = 3           # wrong MACs of APPLICATION UNBLOCK, then the application is blocked for good
UID_RANDOM = 0x08           # first byte of a random UID, ISO 14443-3

CARD_BLOCK_HEAD = b"\x84\x16\x00\x00"
SECURE_UPDATE_HEAD = b"\x04\xd6"           # UPDATE BINARY under the maintenance key
REFUSED_UPDATE_HEADS = (b"\x00\xd6", b"\x00\xdc", b"\x04\xdc")     # UPDATE BINARY and RECORD of whoever asks
MAC_BYTES = 4

PPSE, EPURSE = "PPSE", "e-purse"

Persist = Callable[[CardImage], None]       # raises OSError where the image cannot be stored


class NotPowered(Exception):
    """The card is not in a field: call power_on first. In the simulation this is the reader's bug."""


class SimCard:
    """One card. `image` is what it keeps, and is replaced, never changed, while it works.

    random   the source of card randoms and challenges
    persist  called with the new image before it takes effect
    """

    def __init__(self, image: CardImage, random: Random | None = None, persist: Persist | None = None) -> None:
        self.image = image
        self.uid = image.uid or b""
        self._random = random or system
        self._persist = persist
        self._powered = False
        self._challenge: bytes | None = None
        self._forget()
        self._handlers: dict[bytes, Callable[[Apdu], bytes]] = {
            files.SELECT.head[:2]: self._select,
            files.READ_BINARY.head[:2]: self._read_binary,
            files.READ_RECORD.head[:2]: self._read_record,
            purse.INITIALIZE_FOR_PURCHASE.head[:2]: self._initialize,
            purse.UPDATE_COMPOUND.head[:2]: self._update,
            purse.DEBIT_FOR_PURCHASE.head[:2]: self._debit,
            purse.CREDIT_FOR_LOAD.head[:2]: self._credit,
            purse.GET_TRANSACTION_PROVE.head[:2]: lambda apdu: card_purse.prove(self.image, apdu),
            purse.GET_BALANCE.head[:2]: lambda apdu: card_purse.balance(self.image, apdu),
            purse.GET_CHALLENGE.head[:2]: self._get_challenge,
            purse.APPLICATION_BLOCK.head[:2]: self._block,
            purse.APPLICATION_UNBLOCK.head[:2]: self._unblock,
            CARD_BLOCK_HEAD[:2]: self._block_card,
            SECURE_UPDATE_HEAD: self._update_file,
            **{head: self._refuse_update for head in REFUSED_UPDATE_HEADS},
        }
        # Allowed without the application, or while it is blocked.
        self._always = (self._select, self._get_challenge, self._block_card)
        self._when_blocked = (*self._always, self._block, self._unblock)

    @property
    def ats(self) -> bytes:
        """Answer to select, ISO 14443-4: frames of 256 bytes, 106 kbit/s, 77 ms to answer, CID supported."""
        body = b"\x78\x80\x80\x02" + self.image.historical
        return bytes((len(body) + 1,)) + body

    @property
    def atr(self) -> bytes:
        """What a PC/SC reader makes of a contactless card, PC/SC part 3."""
        historical = self.image.historical
        body = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
        check = 0
        for byte in body:
            check ^= byte
        return b"\x3b" + body + bytes((check,))

    def power_on(self) -> bytes:
        """Enter a field, and be activated: the ATS. Nothing is selected, nothing is pending.

        Activated once more in the same field, it keeps its random UID, as ISO/IEC 14443-3 wants it.
        """
        if self.image.uid is None and not self._powered:
            self.uid = bytes((UID_RANDOM,)) + os.urandom(3)
        self._powered = True
        self._forget()
        return self.ats

    def power_off(self) -> None:
        """Leave the field: an open transaction, its buffered records and a challenge are gone."""
        self._powered = False
        self._forget()

    def transceive(self, apdu: bytes) -> bytes:
        """One command, one answer with its status word. Raises NotPowered, RandomSpent."""
        if not self._powered:
            raise NotPowered("the card is not in a field: call power_on first")
        self._challenge_before, self._challenge = self._challenge, None     # good for the next command only
        try:
            command = parse(apdu)
            answer = self._dispatch(command)
        except Refused as refused:
            return status(refused.word)
        return answer + status(self._select_sw if command.ins == files.SELECT.head[1] else sw.OK)

    def end_challenge(self) -> None:
        """A command that another part of the chip has taken: the challenge before it was for that one only."""
        self._challenge = None

    def _forget(self) -> None:
        self._selected: str | None = None
        self._file: int | None = None               # SFI selected within the application
        self._pending: Transaction | None = None
        self._challenge = self._challenge_before = None
        self._select_sw = sw.OK

    def _dispatch(self, apdu: Apdu) -> bytes:
        need(self.image.blocked != "card", sw.BLOCKED)
        handler = self._handlers.get(bytes((apdu.cla, apdu.ins)))
        if handler is None:
            known = {head[0] for head in self._handlers}
            raise Refused(sw.NO_INS if apdu.cla in known else sw.NO_CLA)
        if handler not in self._always:
            reads = handler in (self._read_binary, self._read_record)
            need(self._selected == EPURSE, sw.NO_FILE if reads else sw.CONDITIONS)
            need(self.image.blocked != "permanent", sw.BLOCKED_FOR_GOOD)
            need(self.image.blocked == "no" or handler in self._when_blocked, sw.BLOCKED)
        length = card_purse.reply_bytes(apdu)
        if length and apdu.le and apdu.le != length and self.image.settings.wrong_le == "6Cxx":
            raise Refused(sw.WRONG_LE | length)
        return handler(apdu)

    def _store(self, image: CardImage) -> None:
        """Make `image` the card, durably first."""
        if self._persist:
            try:
                self._persist(image)
            except OSError as error:
                raise Refused(sw.MEMORY_FAILURE) from error
        self.image = image

    # --- selection and files

    def _select(self, apdu: Apdu) -> bytes:
        if apdu.p1 == 0x04:
            return self._select_name(apdu)
        need((apdu.p1, apdu.p2) == (0, 0) and self.image.settings.select_by_fid, sw.WRONG_P1P2)
        need(len(apdu.data) == 2, sw.WRONG_LENGTH)
        need(self._selected == EPURSE and apdu.data[0] == 0 and card_files.exists(self.image, apdu.data[1]), sw.NO_FILE)
        need(self.image.blocked == "no", sw.BLOCKED)
        self._pending = None
        self._file = apdu.data[1]
        self._select_sw = sw.OK
        return b""

    def _select_name(self, apdu: Apdu) -> bytes:
        """By name. A SELECT that fails leaves everything as it was."""
        need(apdu.p2 == 0, sw.WRONG_P1P2)
        if card_files.named(files.PPSE_NAME, apdu.data):
            self._forget()
            self._selected = PPSE
            return card_files.ppse_answer(self.image.aid)
        need(card_files.named(self.image.aid, apdu.data), sw.NO_FILE)
        need(self.image.blocked != "permanent", sw.BLOCKED_FOR_GOOD)
        self._forget()
        # Selected even where the answer is 6A81: else APPLICATION UNBLOCK could never reach it.
        self._selected = EPURSE
        if self.image.blocked == "application":
            self._select_sw = int(self.image.settings.blocked_select_sw, 16)
            if self._select_sw == sw.BLOCKED:
                raise Refused(sw.BLOCKED)
        return self.image.fci

    def _read_binary(self, apdu: Apdu) -> bytes:
        if apdu.p1 & 0x80:
            need(apdu.p1 & 0x60 == 0, sw.WRONG_P1P2)
            return card_files.read_binary(self.image, apdu.p1 & 0x1F, apdu.p2, apdu.le)
        return card_files.read_binary(self.image, self._current_file(), apdu.p1 << 8 | apdu.p2, apdu.le)

    def _read_record(self, apdu: Apdu) -> bytes:
        sfi = apdu.p2 >> 3 or self._current_file()
        return card_files.read_record(self.image, sfi, apdu.p1, apdu.p2 & 7, apdu.le)

    def _current_file(self) -> int:
        if self._file is None:
            raise Refused(sw.NO_FILE)
        return self._file

    def _refuse_update(self, apdu: Apdu) -> bytes:
        """UPDATE BINARY, UPDATE RECORD: the issuer's, under secure messaging that terminals hold no key for."""
        raise Refused(sw.NOT_ALLOWED)

    def _update_file(self, apdu: Apdu) -> bytes:
        """UPDATE BINARY under the maintenance key. The copy of file 15h in the FCI follows, in the same step."""
        need(apdu.p1 & 0xE0 == 0x80, sw.WRONG_P1P2)
        need(self._mac_is_right(apdu), sw.SM_MAC_WRONG)
        self._store(card_files.updated(self.image, apdu.p1 & 0x1F, apdu.p2, apdu.data[:-MAC_BYTES]))
        return b""

    # --- transactions

    def _initialize(self, apdu: Apdu) -> bytes:
        self._pending = None
        self._pending, answer = card_purse.initialize(self.image, apdu, self._random)
        return answer

    def _update(self, apdu: Apdu) -> bytes:
        """UPDATE CAPP DATA CACHE: buffered until DEBIT."""
        pending = self._pending
        if pending is None or pending.type != keys.COMPOUND:
            raise Refused(sw.WRONG_STATE)
        update = card_files.resolve_update(self.image, apdu)
        need(len(pending.updates) < card_purse.UPDATES_MAX, sw.NO_SPACE)
        pending.updates.append(update)
        return b""

    def _debit(self, apdu: Apdu) -> bytes:
        pending = self._pending
        if pending is None or pending.type == keys.LOAD:
            raise Refused(sw.WRONG_STATE)
        self._pending = None       # committed or failed: either way this transaction is over
        without_cache = pending.type == keys.COMPOUND and not pending.updates
        need(self.image.settings.debit_without_cache or not without_cache, sw.CONDITIONS)
        try:
            after, answer = card_purse.debit(self.image, pending, apdu)
        except Refused as refused:
            if refused.word == sw.MAC_WRONG:
                self._count_wrong_mac1()
            raise
        self._store(after)
        return answer

    def _credit(self, apdu: Apdu) -> bytes:
        pending = self._pending
        if pending is None or pending.type != keys.LOAD:
            raise Refused(sw.WRONG_STATE)
        self._pending = None
        after, answer = card_purse.credit(self.image, pending, apdu)
        self._store(after)
        return answer

    def _count_wrong_mac1(self) -> None:
        tries = self.image.settings.mac1_tries
        if tries == 0:
            return
        after = self.image.copy()
        after.mac1_failures += 1
        if after.mac1_failures >= tries:
            after.blocked = "application"
        self._store(after)

    # --- secure messaging

    def _get_challenge(self, apdu: Apdu) -> bytes:
        need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
        need(not apdu.data and apdu.le in (None, 0, 4, 8), sw.WRONG_LENGTH)
        challenge = self._random(8 if apdu.le == 8 else 4)
        self._challenge = challenge
        return challenge

    def _mac_is_right(self, apdu: Apdu) -> bool:
        """The MAC at the end of a secure command; raises Refused where it cannot be judged."""
        data, mac = apdu.data[:-MAC_BYTES], apdu.data[-MAC_BYTES:]
        need(bool(mac), sw.MAC_MISSING)
        need(len(mac) == MAC_BYTES and bool(data) == (apdu.ins == SECURE_UPDATE_HEAD[1]), sw.WRONG_LENGTH)
        challenge = self._challenge_before
        if challenge is None:
            raise Refused(sw.NO_CHALLENGE)
        need(bool(self.image.keys["maintenance"]), sw.NO_KEY)       # a card that is still being made
        key = max(self.image.keys["maintenance"], key=lambda key: key.version)
        covered = bytes((apdu.cla, apdu.ins, apdu.p1, apdu.p2, len(apdu.data))) + data
        return maintenance_mac(key.value, challenge, covered) == mac

    def _block(self, apdu: Apdu) -> bytes:
        need(apdu.p1 == 0 and apdu.p2 in (0, 1), sw.WRONG_P1P2)
        need(self._mac_is_right(apdu), sw.SM_MAC_WRONG)
        self._set_blocked("permanent" if apdu.p2 else "application")
        return b""

    def _block_card(self, apdu: Apdu) -> bytes:
        need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
        need(self._mac_is_right(apdu), sw.SM_MAC_WRONG)
        self._set_blocked("card")
        return b""

    def _unblock(self, apdu: Apdu) -> bytes:
        need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
        need(self.image.blocked == "application", sw.CONDITIONS)
        if self._mac_is_right(apdu):
            self._set_blocked("no")
            return b""
        after = self.image.copy()
        after.unblock_failures += 1
        if after.unblock_failures >= UNBLOCK_TRIES:
            after.blocked = "permanent"
        self._store(after)
        raise Refused(sw.SM_MAC_WRONG)

    def _set_blocked(self, blocked: str) -> None:
        after = self.image.copy()
        after.blocked = blocked
        if blocked == "no":
            after.unblock_failures = after.mac1_failures = 0
        self._store(after)
        self._pending = None
