"""What a PN532 does with each command: the chip without its serial line. NXP UM0701-02, chapter 7.

`command` answers at once, or returns None where the chip goes on looking for a card: then `look` answers, and
`give_up` when the tries are over. Bodies are command code and data, without frame.
"""

from collections.abc import Callable

from simulator.card import NotPowered
from simulator.field import Card, Faults, Torn
from simulator.randomness import RandomSpent

FIRMWARE = b"\x32\x01\x06\x07"      # PN532, version 1.6, ISO 14443 A and B, ISO 18092
SENS_RES = {4: b"\x00\x04", 7: b"\x00\x44"}
SEL_RES = b"\x20"                   # the card speaks ISO 14443-4
TYPE_A = 0x00                       # 106 kbit/s

TARGET = 1                          # one card at a time here
MORE = 0x40                         # MI, in the target byte and in the status
FOREVER = 0xFF                      # MxRtyPassiveActivation after reset
TRY_MS = 5                          # one look at an empty field
COMMAND_BYTES_MAX = 261             # the longest short APDU
AUTOMATIC_RATS = 0x10               # SetParameters

# Status bytes
DONE, TIMEOUT, BUFFER_TOO_SMALL, NOT_NOW = 0x00, 0x01, 0x07, 0x27

LINE, ROM, RAM, PRESENCE = 0, 1, 2, 6       # Diagnose


class SyntaxFault(Exception):
    """The chip does not know this command, or not with so few data. It answers with an error frame."""


class Pn532:
    """The chip's memory and the card in its field.

    data_bytes_max  card data in one answer; more goes out in pieces
    """

    def __init__(self, data_bytes_max: int = 262) -> None:
        self.card: Card | None = None
        self.second: Card | None = None             # beside it
        self.faults = Faults()
        self.torn = False
        self.error: Exception | None = None
        self.asleep = True                          # until the host's long wake-up
        self.active = False                         # the card in the field has been activated
        self.look_ms: int | None = 0                # how long `command` wants to go on looking; None: for ever
        self._data_bytes_max = data_bytes_max
        self._tries = FOREVER
        self._parameters = 0x14
        self._registers: dict[bytes, int] = {}
        self._wanted_kind = TYPE_A
        self._wanted_count = 1
        self._wanted_uid = b""
        self._listed = False                        # the chip holds a target, which may have left
        self._known = False                         # InSelect may bring a deselected card back
        self._sent = b""                            # pieces of a command
        self._rest = b""                            # of an answer
        self._commands: dict[int, tuple[Callable[[bytes], bytes | None], int]] = {     # with the fewest data bytes
            0x00: (self._diagnose, 1),
            0x02: (lambda data: FIRMWARE, 0),
            0x06: (self._read_registers, 2),
            0x08: (self._write_registers, 3),
            0x12: (self._set_parameters, 1),
            0x14: (lambda data: b"", 1),            # SAMConfiguration: there is no SAM behind this chip
            0x16: (self._power_down, 1),
            0x32: (self._rf_configuration, 2),
            0x40: (self._data_exchange, 1),
            0x42: (lambda data: bytes((NOT_NOW,)), 0),      # InCommunicateThru: raw frames are refused
            0x44: (self._deselect, 1),
            0x4A: (self._list, 2),
            0x52: (self._release, 1),
            0x54: (self._select, 1),
        }

    def command(self, body: bytes) -> bytes | None:
        """The answer's body, or None while the chip looks for a card. Raises SyntaxFault."""
        code, data = body[0], body[1:]
        if code not in self._commands or len(data) < self._commands[code][1]:
            raise SyntaxFault
        answer = self._commands[code][0](data)
        return None if answer is None else bytes((code + 1,)) + answer

    def look(self) -> bytes | None:
        """InListPassiveTarget, again: the answer if a card is there now."""
        card = self.card
        if card is None or self.active or self._wanted_kind != TYPE_A:      # an active card answers no request
            return None
        ats = card.power_on()
        if not card.uid.startswith(self._wanted_uid):
            return None
        self.active = self._listed = self._known = True
        found = [self._target(TARGET, card, ats)]
        if self.second is not None and self._wanted_count == 2:
            found.append(self._target(TARGET + 1, self.second, self.second.power_on()))
        return b"\x4b" + bytes((len(found),)) + b"".join(found)

    def _target(self, number: int, card: Card, ats: bytes) -> bytes:
        rats = ats if self._parameters & AUTOMATIC_RATS else b""
        return bytes((number,)) + SENS_RES[len(card.uid)] + SEL_RES + bytes((len(card.uid),)) + card.uid + rats

    def give_up(self) -> bytes:
        """InListPassiveTarget when the tries are over: no card."""
        return b"\x4b\x00"

    def insert(self, card: Card, faults: Faults) -> None:
        """A card comes into the field. It is idle, even where the chip believes that it still talks to the last one."""
        self.active = False
        self.card, self.faults = card, faults
        self.torn, self.error = False, None

    def remove(self) -> None:
        """The card leaves the field. The chip notices when it next talks to it."""
        if self.card is not None:
            self.card.power_off()
        self.card, self.second, self.active = None, None, False

    def _field_off(self) -> None:
        if self.card is not None:
            self.card.power_off()
        self._halt()

    def _halt(self) -> None:
        """The card is talked to no more; its power stays, and with it a random UID."""
        self.active = self._listed = self._known = False
        self._sent = self._rest = b""

    # --- commands

    def _diagnose(self, data: bytes) -> bytes:
        if data[0] == LINE:
            return data
        if data[0] in (ROM, RAM):
            return bytes((DONE,))
        if data[0] == PRESENCE:
            return bytes((DONE if self.active else TIMEOUT,))
        raise SyntaxFault

    def _read_registers(self, data: bytes) -> bytes:
        return bytes(self._registers.get(data[at : at + 2], 0) for at in range(0, len(data) - 1, 2))

    def _write_registers(self, data: bytes) -> bytes:
        for at in range(0, len(data) - 2, 3):
            self._registers[data[at : at + 2]] = data[at + 2]
        return b""

    def _set_parameters(self, data: bytes) -> bytes:
        self._parameters = data[0]
        return b""

    def _power_down(self, data: bytes) -> bytes:
        self._field_off()
        self.asleep = True
        return bytes((DONE,))

    def _rf_configuration(self, data: bytes) -> bytes:
        item, values = data[0], data[1:]
        if item == 1 and not values[0] & 1:
            self._field_off()
        if item == 5:
            if len(values) < 3:
                raise SyntaxFault
            self._tries = values[2]
        return b""

    def _list(self, data: bytes) -> bytes | None:
        self._wanted_count, self._wanted_kind, self._wanted_uid = data[0], data[1], data[2:]
        if not 1 <= self._wanted_count <= 2:
            raise SyntaxFault
        self.look_ms = None if self._tries == FOREVER else self._tries * TRY_MS
        found = self.look()
        return found[1:] if found else None

    def _data_exchange(self, data: bytes) -> bytes:
        target, piece = data[0], data[1:]
        if target & ~MORE != TARGET or not self._listed or not self._parameters & AUTOMATIC_RATS:
            return bytes((NOT_NOW,))
        if self._rest and not piece:
            return self._piece()
        self._rest = b""
        self._sent += piece
        if len(self._sent) > COMMAND_BYTES_MAX:
            self._sent = b""
            return bytes((BUFFER_TOO_SMALL,))
        if target & MORE:
            return bytes((DONE,))
        apdu, self._sent = self._sent, b""
        return self._exchange(apdu)

    def _exchange(self, apdu: bytes) -> bytes:
        if self.card is None or not self.active:        # it left; one that came back is not activated
            return bytes((TIMEOUT,))
        try:
            self._rest = self.faults.exchange(self.card, apdu)
        except Torn:
            self.card, self.active, self.torn = None, False, True
            return bytes((TIMEOUT,))
        except NotPowered:              # it was taken away in this very exchange
            return bytes((TIMEOUT,))
        except RandomSpent as error:
            self.card, self.active, self.error = None, False, error
            return bytes((TIMEOUT,))
        return self._piece()

    def _piece(self) -> bytes:
        piece, self._rest = self._rest[: self._data_bytes_max], self._rest[self._data_bytes_max :]
        return bytes((MORE if self._rest else DONE,)) + piece

    def _deselect(self, data: bytes) -> bytes:
        """The card halts: what it had open is gone, InSelect brings it back."""
        if not self._known or data[0] not in (0, TARGET):
            return bytes((NOT_NOW,))
        self._halt()
        self._known = True
        return bytes((DONE,))

    def _select(self, data: bytes) -> bytes:
        if not self._known or data[0] != TARGET:
            return bytes((NOT_NOW,))
        if self.active:
            return bytes((DONE,))
        if self.card is None:
            return bytes((TIMEOUT,))
        self.card.power_on()
        self.active = self._listed = True
        return bytes((DONE,))

    def _release(self, data: bytes) -> bytes:
        """Forget the card. Without one this is no error: hosts release before they begin."""
        if data[0] not in (0, TARGET):
            return bytes((NOT_NOW,))
        self._halt()
        return bytes((DONE,))
