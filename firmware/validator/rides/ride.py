"""What every ride of a tariff does alike: the card's records, the price with its discounts, the history record."""

from tunion import bcd
from tunion.card import files, trips
from tunion.card.refusals import Blocked, CardRefused
from tunion.compat import const
from tunion.crypto.keys import COMPOUND
from tunion.fare import granted, kept, month, when
from tunion.fare.transfer import Leg, ended
from tunion.record import BadInput
from tunion.wire import reason
from validator.rides.charge import Charge, Refused, amount_fen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.card.apdu import Card
    from tunion.fare.decision import Decision
    from tunion.fare.tariff import Tariff
    from validator.duty import Duty
    from validator.ports import Identity
    from validator.rides.site import Site

    Records = tuple[bytes, ...]

_KEPT_BYTES = const(26)
_SECONDS_MAX = const(0xFFFFFFFF)
_NO_RECORD = (0x6A82, 0x6A83)  # file, record not found


class Ride:
    """Base of the rides below. `record`: number of the open-ride record, 0: none."""

    judges_balance = True
    record = 0

    def __init__(self, tariff: "Tariff", site: "Site", duty: "Duty | None") -> None:
        self._tariff = tariff
        self._site = site
        self._duty: Any = duty
        self.mode = tariff.mode
        counts = tariff.rules["month"] or tariff.transfers is not None
        self._kept_in = site.kept_in if counts else 0

    def read(self, card: "Card", identity: "Identity") -> "Records":
        """(open-ride record, record with the card's counters); b"" for what is not needed or was never written."""
        ride = self._record(card, self.record) if self.record else b""
        if self._kept_in == self.record or not self._kept_in or not self._is_home(identity):
            return ride, b""
        return ride, self._record(card, self._kept_in)

    def images(
        self, charge: Charge, records: "Records", balance_fen: int, terminal: bytes, at: bytes
    ) -> "list[tuple[int, int, bytes]]":
        """(P1, P2, bytes) of each UPDATE CAPP DATA CACHE.

        balance_fen  true balance after the debit
        terminal     the SAM's number, 6 bytes
        at           of the debit, 7 bytes BCD
        """
        found = []
        fields = self.fields(charge, balance_fen, b"\x00\x00" + terminal, at)
        if self.record:
            local = charge.kept if self._kept_in == self.record else b""
            image = self._written(records[0], fields, local)
            found.append((self.record, trips.COMPOUND_P2, image))
        if charge.kept and self._kept_in != self.record:
            image = trips.changed(records[1], self._kept_in)
            found.append((self._kept_in, trips.COMPOUND_P2, _with_kept(image, self._kept_in, charge.kept)))
        found.append((0, trips.HISTORY_P2, self._history(charge, balance_fen, b"\x00\x00" + terminal, at)))
        return found

    def fields(self, charge: Charge, balance_fen: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        """Fields of the open-ride record that this charge changes."""
        return {}

    # -- parts --------------------------------------------------------------------------------------------------

    def _is_home(self, identity: "Identity") -> bool:
        return bool(identity.city == self._site.city)

    def _record(self, card: "Card", number: int) -> bytes:
        """A record of file 1Ah; b"" for one never written. Raises Refused."""
        try:
            raw: bytes = card.send(files.READ_RECORD, p1=number, p2=trips.COMPOUND_READ_P2, le=trips.RECORD_BYTES)
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except CardRefused as refusal:
            if refusal.sw in _NO_RECORD:
                return b""
            raise Refused(reason.INVALID_CARD, refusal.sw)  # a ride may be open on it: it is not to be overwritten
        return raw if trips.is_written(raw, number) else b""

    def _written(self, raw: bytes, fields: "dict[str, Any]", local: bytes) -> bytes:
        """The open-ride record afterwards."""
        image = trips.changed(raw, self.record, **fields)
        return _with_kept(image, self.record, local) if local else image

    def _priced(
        self, list_fen: int, identity: "Identity", records: "Records", began_s: int, now_s: int, riders: int = 1
    ) -> "tuple[Any, int, bytes]":
        """(Price, `granted` of the record, the card's counters afterwards or b"")."""
        tariff = self._tariff
        home = self._is_home(identity)
        so_far = given = None
        tier = transfer_from = 0
        counted = chain = None
        if self._kept_in and home:
            raw = records[0 if self._kept_in == self.record else 1]
            start = trips.LOCAL_AT[self._kept_in]
            counted, chain = kept.unpack(raw[start : start + _KEPT_BYTES])
            if tariff.rules["month"]:
                so_far = month.of_month(counted, when.month(began_s))
                tier = month.tier(tariff.rules["month"][0], tariff.rules["month"][1], so_far)
            if tariff.transfers is not None:
                given = tariff.transfers.give(chain, Leg(tariff.mode, self._duty.line, self._duty.layer, began_s))
                if chain is not None and (given.permille or given.off_fen):
                    transfer_from = chain.mode
        price = tariff.price(list_fen, identity.kind, began_s, home, so_far, given, riders)
        told = granted.pack(tier, not home, transfer_from)
        if so_far is None and given is None:
            return price, told, b""
        if so_far is not None:
            counted = month.after(so_far, price.amount_fen)
        if given is not None:
            chain = ended(given.chain, now_s)
        return price, told, kept.pack(counted, chain)

    def _charge(
        self, decided: "Decision", event: int, shown: str, price: "Any" = None, told: int = 0, counters: bytes = b"",
        stop_in: int = 0, stop_out: int = 0, layer: int = 0, riders: int = 0, ride_s: int = 0, more: bool = False,
    ) -> Charge:
        list_fen, discount_fen = (price.list_fen, price.discount_fen) if price is not None else (0, 0)
        return Charge(
            COMPOUND, list_fen, discount_fen, decided.owed_fen, event, decided.case, layer, riders, self._duty.modes,
            told, ride_s, stop_in, stop_out, shown, more, decided.marked_fen, counters,
        )

    def _history(self, charge: Charge, balance_fen: int, terminal: bytes, at: bytes) -> bytes:
        """The record that the card's trip history gets."""
        site = self._site
        return trips.HISTORY.pack(
            event=charge.event,
            terminal=terminal,
            industry=self.mode,
            place=self._place(charge),
            operator=site.operator,
            reserved=0,
            amount_fen=amount_fen(charge),
            balance_fen=balance_fen,
            at=at,
            city=site.city,
            network=site.network,
            most_fen=self._marked_fen(charge),
            most_min=self._tariff.rules["ride"]["max_minutes"] if self._marked_fen(charge) else 0,
        )

    def _marked_fen(self, charge: Charge) -> int:
        """What the history says that the ride may come to; 0: nothing."""
        return 0

    def _place(self, charge: Charge) -> bytes:
        return trips.place(
            self._site.place_coding, self._site.city, self._duty.line, charge.stop_out or charge.stop_in
        )


def seconds(at: bytes) -> int:
    """Seconds since 1970 of a stamp on a card; -1 for one that is none, or of a century to come."""
    try:
        found = bcd.at_s(at)
    except BadInput:
        return -1
    return found if found <= _SECONDS_MAX else -1


def _with_kept(image: bytes, number: int, counters: bytes) -> bytes:
    start = trips.LOCAL_AT[number]
    return image[:start] + counters + image[start + _KEPT_BYTES :]
