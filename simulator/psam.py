"""A purchase SAM (PSAM): it holds root keys, makes MAC1, checks MAC2, makes the MAC that blocks a card.

The terminal counter and every wrong MAC2 are stored through `persist` before the answer leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass

from simulator import sw
from simulator.apdu import Apdu, Refused, need, parse, status
from simulator.card import NotPowered
from simulator.image import Key, PsamImage
from tunion.card import psam
from tunion.crypto import keys
from tunion.crypto.des import Des, TripleDes
from tunion.crypto.mac import chain, padded, retail_mac_block
from tunion.record import Record

MF_FID = b"\x3f\x00"
COUNTER_SFI = 0x19
MF, APPLICATION = "MF", "application"
MF_FILES = (psam.IDENTITY_SFI, psam.TERMINAL_SFI)
GET_RESPONSE_HEAD = b"\x00\xc0\x00\x00"

USE_MAINTENANCE = 5         # key use in P1 of INIT FOR DESCRYPT
FACTOR_BYTES = 8
MAC_BYTES = 4

# DESCRYPT, P1: bit 1 MAC, bit 2 more blocks follow, bit 3 the data begin with the initial value.
MODE_ENCRYPT, MODES_MAC = 0, (1, 3, 5, 7)
MODE_MORE, MODE_START = 2, 4

# The fixed part of INIT SAM FOR PURCHASE; one factor of 8 bytes a level follows, from the card upwards.
_INIT = Record("InitSamHead", 20, (
    ("random", "4s"), ("counter", "H"), ("amount_fen", "I"), ("type", "B"), ("at", "7s"), ("key_version", "B"),
    ("algorithm", "B"),
))  # fmt: skip

Persist = Callable[[PsamImage], None]


@dataclass
class _Purchase:
    """Between 8070 and 8072."""

    algorithm: int
    session: bytes
    amount_fen: int


class SimPsam:
    """One PSAM. `image` is what it keeps, and is replaced, never changed, while it works."""

    # T=0, no TD bytes; 38400 bit/s in life, as fast as the line here.
    atr = b"\x3b\x6d\x00\x00" + b"YKT TEST PSAM"
    uid = b""

    def __init__(self, image: PsamImage, persist: Persist | None = None) -> None:
        self.image = image
        self._persist = persist
        self._powered = False
        self._forget()
        self._handlers: dict[bytes, Callable[[Apdu], bytes]] = {
            b"\x00\xa4": self._select,
            b"\x00\xb0": self._read_binary,
            GET_RESPONSE_HEAD[:2]: self._get_response,
            psam.INIT_SAM_FOR_PURCHASE.head[:2]: self._init_for_purchase,
            psam.CREDIT_SAM_FOR_PURCHASE.head[:2]: self._credit,
            psam.INIT_FOR_DESCRYPT.head[:2]: self._init_for_descrypt,
            psam.DESCRYPT_MAC.head[:2]: self._descrypt,
        }

    def power_on(self) -> bytes:
        """Reset: the ATR. The MF is selected, no purchase is open."""
        self._powered = True
        self._forget()
        return self.atr

    def power_off(self) -> None:
        self._powered = False
        self._forget()

    def transceive(self, apdu: bytes) -> bytes:
        """One command, one answer with its status word. Raises NotPowered."""
        if not self._powered:
            raise NotPowered("the PSAM has no power: call power_on first")
        try:
            command = parse(apdu)
            answer = self._dispatch(command)
        except Refused as refused:
            self._waiting = b""
            return status(refused.word)
        if answer and self.image.settings.get_response and command.data:
            self._waiting = answer
            return bytes((0x61, len(answer)))
        return answer + status(sw.OK)

    def _forget(self) -> None:
        self._selected = MF
        self._purchase: _Purchase | None = None
        self._work_key: bytes | None = None         # of DESCRYPT
        self._chained: bytes | None = None          # MAC so far
        self._waiting = b""                         # for GET RESPONSE

    def _dispatch(self, apdu: Apdu) -> bytes:
        handler = self._handlers.get(bytes((apdu.cla, apdu.ins)))
        if handler is None:
            raise Refused(sw.NO_INS if apdu.cla in (0x00, 0x80) else sw.NO_CLA)
        if handler != self._get_response:
            self._waiting = b""
        if apdu.cla == 0x80:
            need(self._selected == APPLICATION, sw.CONDITIONS)
            need(not self.image.locked, sw.BLOCKED)
        return handler(apdu)

    def _store(self, image: PsamImage) -> None:
        if self._persist:
            try:
                self._persist(image)
            except OSError as error:
                raise Refused(sw.MEMORY_FAILURE) from error
        self.image = image

    def _advance(self) -> None:
        after = self.image.copy()
        after.terminal_counter = (after.terminal_counter + 1) & 0xFFFFFFFF
        after.mac2_failures = 0
        self._store(after)

    # --- selection and files

    def _select(self, apdu: Apdu) -> bytes:
        """MF or application, by FID or name. A SELECT that fails leaves everything as it was."""
        need(apdu.p1 in (0x00, 0x04) and apdu.p2 == 0, sw.WRONG_P1P2)
        if apdu.p1 == 0x00 and apdu.data in (b"", MF_FID):
            self._forget()
            return b""
        wanted = psam.APPLICATION_NAME if apdu.p1 == 0x04 else psam.APPLICATION_FID
        need(apdu.data == wanted, sw.NO_FILE)
        self._forget()
        self._selected = APPLICATION
        name = b"\x84" + bytes((len(psam.APPLICATION_NAME),)) + psam.APPLICATION_NAME
        return b"\x6f" + bytes((len(name),)) + name

    def _read_binary(self, apdu: Apdu) -> bytes:
        need(apdu.p1 & 0xE0 == 0x80, sw.WRONG_P1P2)
        content = self._file(apdu.p1 & 0x1F)
        need(apdu.p2 < len(content), sw.OUTSIDE_FILE)
        return content[apdu.p2 :][: apdu.le or None]

    def _file(self, sfi: int) -> bytes:
        if self._selected == APPLICATION and sfi == COUNTER_SFI:
            return self.image.terminal_counter.to_bytes(4, "big")
        need(sfi in self.image.files and (sfi in MF_FILES) == (self._selected == MF), sw.NO_FILE)
        return self.image.files[sfi]

    def _get_response(self, apdu: Apdu) -> bytes:
        need(bool(self._waiting), sw.CONDITIONS)
        answer, self._waiting = self._waiting, b""
        return answer[: apdu.le or None]

    # --- purchase

    def _init_for_purchase(self, apdu: Apdu) -> bytes:
        self._purchase = None
        need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
        need(len(apdu.data) == _INIT.size + FACTOR_BYTES * self.image.settings.levels, sw.WRONG_LENGTH)
        asked = _INIT.unpack(apdu.data)
        need(asked.type in (keys.PURCHASE, keys.COMPOUND), sw.WRONG_DATA)
        need(self._valid_on(asked.at[:4]), sw.BLOCKED)
        index = psam.APPLICATION.unpack(self.image.files[psam.APPLICATION_SFI]).key_index
        key = self._key("purchase", asked.key_version, asked.algorithm, index)
        ciphers = keys.suite(key.algorithm)
        card_key = _derived(key, apdu.data[_INIT.size :])
        counter = self.image.terminal_counter
        session = keys.purchase_session(ciphers, card_key, asked.random, asked.counter, counter)
        covered = keys.PURCHASE_MAC1.pack(
            amount_fen=asked.amount_fen, type=asked.type, terminal=self.image.files[psam.TERMINAL_SFI], at=asked.at
        )
        if self.image.settings.counter_advances_at == "8070":
            self._advance()
        self._purchase = _Purchase(key.algorithm, session, asked.amount_fen)
        reply = psam.INIT_SAM_FOR_PURCHASE.reply
        assert reply
        return reply.pack(terminal_seq=counter, mac1=ciphers.mac(session, covered))

    def _credit(self, apdu: Apdu) -> bytes:
        """CREDIT SAM FOR PURCHASE: the card's proof. Right or wrong, the purchase is over."""
        purchase = self._purchase
        if purchase is None:
            raise Refused(sw.WRONG_STATE)
        need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
        need(len(apdu.data) == MAC_BYTES, sw.WRONG_LENGTH)
        self._purchase = None
        covered = keys.PURCHASE_MAC2.pack(amount_fen=purchase.amount_fen)
        if keys.suite(purchase.algorithm).mac(purchase.session, covered) != apdu.data:
            self._count_wrong_mac2()
            raise Refused(sw.MAC_WRONG)
        if self.image.settings.counter_advances_at == "8072":
            self._advance()
        return b""

    def _count_wrong_mac2(self) -> None:
        tries = self.image.settings.mac2_tries
        if tries == 0:
            return
        after = self.image.copy()
        after.mac2_failures += 1
        after.locked = after.mac2_failures >= tries
        self._store(after)

    def _valid_on(self, date4: bytes) -> bool:
        """A PSAM has no clock: it judges by the date it is asked to sign. BCD dates compare as bytes."""
        own = psam.APPLICATION.unpack(self.image.files[psam.APPLICATION_SFI])
        return bool(own.start <= date4 <= own.expiry)

    # --- maintenance

    def _init_for_descrypt(self, apdu: Apdu) -> bytes:
        self._work_key = self._chained = None
        levels, use = apdu.p1 >> 5, apdu.p1 & 0x1F
        need(use == USE_MAINTENANCE, sw.NO_KEY)
        need(levels == self.image.settings.levels, sw.WRONG_P1P2)
        need(len(apdu.data) == FACTOR_BYTES * levels, sw.WRONG_LENGTH)
        self._work_key = _derived(self._key("maintenance", apdu.p2, 0), apdu.data)
        return b""

    def _descrypt(self, apdu: Apdu) -> bytes:
        """Encrypt, or one part of a MAC: 00 encrypt; 05 whole MAC, 07 first part, 03 next, 01 last."""
        if self._work_key is None:
            raise Refused(sw.WRONG_STATE)
        need(apdu.p2 == 0 and apdu.p1 in (MODE_ENCRYPT, *MODES_MAC), sw.WRONG_P1P2)
        if apdu.p1 == MODE_ENCRYPT:
            need(bool(apdu.data) and len(apdu.data) % 8 == 0, sw.WRONG_LENGTH)
            cipher = TripleDes(self._work_key)
            return b"".join(cipher.encrypt(apdu.data[at : at + 8]) for at in range(0, len(apdu.data), 8))
        return self._mac_part(self._work_key, apdu.p1, apdu.data)

    def _mac_part(self, key: bytes, mode: int, data: bytes) -> bytes:
        start = self._chained or bytes(8)
        if mode & MODE_START:
            start, data = data[:8], data[8:]
        if self.image.settings.pads_mac and not mode & MODE_MORE:
            data = padded(data, 8)
        self._chained = None
        need(len(start) == 8 and bool(data) and len(data) % 8 == 0, sw.WRONG_LENGTH)
        if mode & MODE_MORE:
            self._chained = chain(Des(key[:8]), data, start)
            return b""
        return retail_mac_block(key, data, start)[:4]

    def _key(self, purpose: str, version: int, algorithm: int, index: int | None = None) -> Key:
        """By version and algorithm; a purchase key also by the index that file 17h names."""
        for key in self.image.keys[purpose]:
            if (key.version, key.algorithm) == (version, algorithm) and index in (None, key.index):
                return key
        raise Refused(sw.NO_KEY)


def _derived(key: Key, factors: bytes) -> bytes:
    """The card's key. Factors stand from the card upwards, derivation runs from the top down: from right to left."""
    ciphers = keys.suite(key.algorithm)
    value = key.value
    for at in range(len(factors) - FACTOR_BYTES, -1, -FACTOR_BYTES):
        value = ciphers.diversify(value, factors[at : at + FACTOR_BYTES])
    return value
