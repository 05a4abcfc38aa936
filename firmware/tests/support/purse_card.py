"""A small e-purse card, for tests that also run on MicroPython: it checks MAC1 and refuses what a card refuses.

The full card with all its files is simulator/card.py; both answer the same commands of tunion.card.
"""

from tunion.card import files, purse
from tunion.card.refusals import LinkLost
from tunion.crypto import keys
from tunion.crypto.mac import maintenance_mac
from validator.ports import ReaderLost, Target, TwoCards

MPK = bytes.fromhex("11111111222222223333333344444444")  # invented, those of the published vectors
MTK = bytes.fromhex("99999999aaaaaaaabbbbbbbbcccccccc")
MAMK = bytes.fromhex("0123456789abcdeffedcba9876543210")
ISSUER = bytes.fromhex("04026110ffffffff")
SERIAL = bytes.fromhex("03104999000000000017")

BEFORE, AFTER = "before", "after"


class PurseCard:
    """One card. `spent_fen` and `log` (counter, amount, TAC) tell what really happened to its money."""

    aid = files.EPURSE_AID
    key_index = 1

    def __init__(self, serial=SERIAL, issuer=ISSUER, balance_fen=5000, limit_fen=0, kind=1, **changes):
        public = dict(
            issuer=issuer,
            application=2,
            enabled=1,
            serial=serial,
            start=b"\x20\x25\x01\x01",
            expiry=b"\x20\x35\x12\x31",
            own=bytes(2),
        )
        management = dict(
            country=b"\x00\x00\x01\x56",
            province=b"\x61\x00",
            city=b"\x61\x10",
            interoperable=b"\x00\x01",
            kind=kind,
        )
        for name in changes:
            (public if name in public else management)[name] = changes[name]
        self.serial = serial
        self.files = {
            files.PUBLIC_SFI: files.PUBLIC.pack(**public),
            files.MANAGEMENT_SFI: files.MANAGEMENT.pack(**management) + bytes(49),
        }
        self.records = [b"", b""]  # of file 1Ah
        self.history = []  # of file 1Eh, newest first
        self.fci_has_public = True
        self.balance_fen = balance_fen
        self.limit_fen = limit_fen
        self.counter = 18
        self.blocked = False
        self.wrong_mac2 = False
        self.log = []
        self._suite = keys.suite(0)
        self._dpk = keys.card_key(self._suite, MPK, issuer, serial)
        self._damk = keys.card_key(self._suite, MAMK, issuer, serial)
        self._tac_key = self._suite.tac_key(keys.card_key(self._suite, MTK, issuer, serial))
        self._proof = None
        self._draws = 0
        self.power_on()

    def power_on(self):
        self._selected = False
        self._offer = None
        self._challenge = None

    @property
    def spent_fen(self):
        return sum(amount_fen for _, amount_fen, _ in self.log)

    def transceive(self, apdu):
        challenge, self._challenge = self._challenge, None
        head = apdu[:2]
        if head == b"\x00\xa4":
            return self._select(apdu)
        if not self._selected or self.blocked:
            return b"\x69\x85"
        if head == b"\x00\xb0":
            found = self.files.get(apdu[2] & 0x1F)
            return found + b"\x90\x00" if found else b"\x6a\x82"
        if head == b"\x00\x84":
            self._challenge = self._random()
            return self._challenge + b"\x90\x00"
        if head == b"\x84\x1e":
            if challenge is None:
                return b"\x69\x84"
            if apdu[5:9] != maintenance_mac(self._damk, challenge, apdu[:5]):
                return b"\x69\x88"
            self.blocked = True
            return b"\x90\x00"
        if head == b"\x00\xb2":
            return self._read_record(apdu)
        if head == b"\x80\xdc":
            return self._update(apdu)
        if head == b"\x80\x50":
            return self._initialize(apdu)
        if head == b"\x80\x54":
            return self._debit(apdu)
        if head == b"\x80\x5a":
            asked = (apdu[3], apdu[5] << 8 | apdu[6])
            if self._proof is None or self._proof[0] != asked:
                return b"\x94\x06"
            return self._proof[1] + b"\x90\x00"
        return b"\x6d\x00"

    def _random(self):
        self._draws += 1
        return bytes((0xA1, 0xB2, self._draws >> 8 & 0xFF, self._draws & 0xFF))

    def _select(self, apdu):
        if apdu[5:13] != self.aid:
            return b"\x6a\x82"
        self._selected = True
        self._offer = None
        if self.blocked:
            return b"\x62\x83"
        public = b"\x9f\x0c\x1e" + self.files[files.PUBLIC_SFI] if self.fci_has_public else b""
        inner = b"\x9f\x08\x01\x02" + public
        fci = b"\x84\x08" + self.aid + b"\xa5" + bytes((len(inner),)) + inner
        return b"\x6f" + bytes((len(fci),)) + fci + b"\x90\x00"

    def _read_record(self, apdu):
        sfi, number = apdu[3] >> 3, apdu[2]
        found = self.records if sfi == 0x1A else self.history if sfi == 0x1E else []
        if not 1 <= number <= len(found) or not found[number - 1]:
            return b"\x6a\x83"
        return found[number - 1] + b"\x90\x00"

    def _update(self, apdu):
        if self._offer is None or self._offer[3] != keys.COMPOUND:
            return b"\x69\x01"
        place = (apdu[2], apdu[3])
        size = {(1, 0xD0): 128, (2, 0xD0): 128, (0, 0xF0): 48}.get(place)
        if size is None:
            return b"\x6a\x83"
        if len(apdu) != 5 + size or apdu[4] != size or len(self._updates) == 3:
            return b"\x67\x00"
        if place[0] and apdu[5:7] != bytes((0x27, place[0])):
            return b"\x6a\x80"
        self._updates.append((place, apdu[5:]))
        return b"\x90\x00"

    def _initialize(self, apdu):
        type = {1: keys.PURCHASE, 3: keys.COMPOUND}.get(apdu[2])
        if type is None:
            return b"\x6a\x86"
        data = purse.INITIALIZE_FOR_PURCHASE.data.unpack(apdu, 5)
        if type == keys.PURCHASE and not data.amount_fen:
            return b"\x6a\x80"
        if data.key_index != self.key_index:
            return b"\x94\x03"
        if data.amount_fen > self.balance_fen + self.limit_fen:
            return b"\x94\x01"
        self._offer = (data.amount_fen, data.terminal, self._random(), type)
        self._updates = []
        return (
            purse.INITIALIZE_FOR_PURCHASE.reply.pack(
                balance_fen=self.balance_fen + self.limit_fen,
                counter=self.counter,
                limit_fen=self.limit_fen,
                key_version=1,
                algorithm=0,
                random=self._offer[2],
            )
            + b"\x90\x00"
        )

    def _debit(self, apdu):
        if self._offer is None:
            return b"\x69\x01"
        amount_fen, terminal, random, type = self._offer
        self._offer = None
        data = purse.DEBIT_FOR_PURCHASE.data.unpack(apdu, 5)
        suite = self._suite
        session = keys.purchase_session(suite, self._dpk, random, self.counter, data.terminal_seq)
        signed = keys.PURCHASE_MAC1.pack(amount_fen=amount_fen, type=type, terminal=terminal, at=data.at)
        if suite.mac(session, signed) != data.mac1:
            return b"\x93\x02"
        tac = suite.mac(
            self._tac_key,
            keys.PURCHASE_TAC.pack(
                amount_fen=amount_fen,
                type=type,
                terminal=terminal,
                terminal_seq=data.terminal_seq,
                at=data.at,
            ),
        )
        mac2 = suite.mac(session, keys.PURCHASE_MAC2.pack(amount_fen=amount_fen))
        if self.wrong_mac2:
            mac2 = bytes(4)
        self.log.append((self.counter, amount_fen, tac))
        self.balance_fen -= amount_fen
        self.counter += 1
        self._proof = ((type, self.counter), mac2 + tac)
        for (number, _), data in self._updates:
            if number:
                self.records[number - 1] = data
            else:
                self.history.insert(0, data)
        return tac + mac2 + b"\x90\x00"


class FieldReader:
    """The Reader port over cards in process. `tear` is (number of the exchange from 1, BEFORE or AFTER) or None."""

    def __init__(self):
        self.card = None
        self.tear = None
        self.exchanges = 0
        self.broken = False
        self.crowd = False  # a second card beside the first
        self.commands = []

    def present(self, card, tear=None):
        self.card = card
        self.tear = tear
        self.exchanges = 0
        self.commands = []
        card.power_on()

    def open(self):
        if self.broken:
            raise ReaderLost("unplugged: plug it in")

    def poll(self, wait_ms):
        self.open()
        if self.card and self.crowd:
            raise TwoCards("two cards")
        return Target(b"\x08\x01\x02\x03") if self.card else None

    def transceive(self, apdu, wait_ms):
        self.open()
        if self.card is None:
            raise LinkLost("no card")
        self.exchanges += 1
        self.commands.append(apdu[1])
        if self.tear == (self.exchanges, BEFORE):
            self.card = None
            raise LinkLost("torn")
        answer = self.card.transceive(apdu)
        if self.tear == (self.exchanges, AFTER):
            self.card = None
            raise LinkLost("torn")
        return answer

    def removed(self, wait_ms):
        self.open()
        return self.card is None
