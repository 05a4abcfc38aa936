"""What a card is answered: the panel, the gate, and the same answer again while it stays or comes back at once."""

from tunion.card import product
from tunion.compat import const
from tunion.wire import tap as wire
from validator.ports import ENTRY, EXIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.gate import GateKeeper
    from validator.journal import Journal
    from validator.ports import Clock, Panel
    from validator.rides.charge import Charge

    Known = list[tuple[int, bytes]]  # (product, serial) of each application that was seen of a card

_CLOCK_UNKNOWN = const(0)
_ON_A_BUS = {wire.BOARD: "board", wire.ALIGHT: "alight"}
_AT_A_GATE = {wire.BOARD: "enter", wire.ALIGHT: "exit"}
_THROUGH = {"enter": ENTRY, "exit": EXIT}


class Answers:
    """`again`: this card was shown its last answer again."""

    def __init__(self, panel: "Panel", clock: "Clock", gate: "GateKeeper | None", role: str) -> None:
        self._panel = panel
        self._clock = clock
        self._gate = gate
        self._desk = role == "desk"
        self._by_gate = role in ("entry", "exit", "both")
        self._served: Known = []  # the last card that paid, when, and what it was shown
        self._served_ms = 0
        self._shown: tuple[str, dict[str, int | str]] = ("ready", {})
        self.again = False

    def resume(self, journal: "Journal", same_card_s: int) -> None:
        """The power may have failed between the last outcome and "paid": that passenger will hold the card there again.

        Not charged twice within `same_card_s` of the ride, as far as the clock can tell.
        """
        last = journal.last_paid
        if last is None or self._clock.quality() == _CLOCK_UNKNOWN:
            return
        if last.event & 15 == wire.MAKE_UP and not self._desk:
            return  # an earlier ride; this card's own was not decided yet
        if 0 <= self._clock.now_s() - last.at_s < same_card_s:
            self._served = [(product.number_in(last.event), last.card)]
            self._served_ms = self._clock.ticks_ms()
            balance_fen = last.balance_fen - last.fare_fen
            details = {"fare_fen": last.fare_fen, "balance_fen": balance_fen, "kind": last.kind}
            self._shown = (self._name_of(last.event), details)

    def repeated(self, number: int, serial: bytes, same_card_s: int) -> bool:
        """The passenger holds on, comes again at once, or is owed a passage: shown again, and nothing is charged.

        raises  Refused at a gate that the card has opened already
        """
        if self._gate is not None and self._gate.again(serial):
            self._show_again(number, serial)
            return True
        if (number, serial) not in self._served or self._clock.since_ms(self._served_ms) >= 1000 * same_card_s:
            return False
        if self._gate is not None:
            self._gate.stay_shut()
        self._show_again(number, serial)
        return True

    def say(self, what: str, details: "dict[str, Any]", known: "Known") -> None:
        """The outcome is durable: tell, and open a gate. The same card is told again for a while."""
        self._served = known
        self._served_ms = self._clock.ticks_ms()
        self._shown = (what, details)
        self._panel.show(what, **details)
        self._let_through(what, known[-1][1])

    def recovered(self, tap: "Any", known: "Known") -> None:
        """A torn card has proved this tap: its ride is paid."""
        balance_fen = tap.balance_fen - tap.amount_fen
        details = {"fare_fen": tap.amount_fen, "balance_fen": balance_fen, "kind": tap.card_kind}
        self.say("recovered", details, known)
        self._let_through(self._name_of(tap.event), tap.card)

    def without_debit(self, charge: "Charge", serial: bytes) -> None:
        """Let through by a mode; or the same tap again, which opens a gate that has just started. Raises Refused."""
        shown = charge.shown
        if self._gate is not None:
            way = EXIT if charge.event == wire.ALIGHT else ENTRY
            if shown == "ignored":
                self._gate.ignored(way, serial)
                shown = "passed"
            else:
                self._gate.permit(way, serial)
        self._panel.show(shown)

    def _show_again(self, number: int, serial: bytes) -> None:
        """What the last card was shown; an earlier one, for which a gate opens again, that it may pass."""
        self.again = True
        if (number, serial) in self._served:
            self._panel.show(self._shown[0], **self._shown[1])
        else:
            self._panel.show("passed")

    def _name_of(self, event: int) -> str:
        """What the panel said of a tap with this event."""
        return (_AT_A_GATE if self._by_gate else _ON_A_BUS).get(event & 15, "paid")

    def _let_through(self, shown: str, serial: bytes) -> None:
        """Open the gate after a ride that begins or ends."""
        if self._gate is not None and shown in _THROUGH:
            self._gate.permit(_THROUGH[shown], serial)
