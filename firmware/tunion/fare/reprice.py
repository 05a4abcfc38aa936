"""A second opinion on a tap of a tariff: is this what the table charges? From the record alone.

    event                table              what must hold
    BOARD                grid               nothing but what is owed: a gate's missing exit
    ALIGHT               grid               the fare by the case, discounts as at the beginning, owed only for overtime
    SINGLE               flat, meter, grid  the fare of all riders, discounts of the first
    MAKE_UP              grid               nothing but what is owed: a bus ride left open, the desk's missing exit

Exact, but for what no record tells: whether the desk or a gate was right to forgive a missing exit, whether a bus
turned round under way, what a bus ride of an unknown line had been marked with (at most the dearest ride known).

Of an alighting or exit, `layer` is the one that the ride began with.
"""

from tunion.compat import const
from tunion.fare import decision, granted, trip
from tunion.fare.grid import ONWARD, NoFare
from tunion.fare.month import Month
from tunion.fare.tariff import METER, OF_MONTH, OF_TRANSFER
from tunion.fare.transfer import Given
from tunion.record import BadInput
from tunion.wire.tap import ALIGHT, BOARD, MAKE_UP, SINGLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tunion.fare.grid import Grid
    from tunion.fare.tariff import Tariff

# What is wrong with a tap, 0: nothing
OTHER_MODE = const(1)
NO_SUCH_TAP = const(2)
NO_SUCH_RIDE = const(3)
TOO_MANY_RIDERS = const(4)
WRONG_CASE = const(5)
WRONG_FARE = const(6)
WRONG_OWED = const(7)
NOT_ENTITLED = const(8)
WRONG_DISCOUNT = const(9)

FINDINGS = {  # number -> (name for programs, 中文, English)
    OTHER_MODE: ("other_mode", "行业与票价表不符", "the table is of another mode of transport"),
    NO_SUCH_TAP: ("no_such_tap", "该票价表无此类交易", "no tap of this table has such an event, type or stops"),
    NO_SUCH_RIDE: ("no_such_ride", "票价表中无此行程", "the table has no price for this ride"),
    TOO_MANY_RIDERS: ("too_many_riders", "同卡人数超限", "more riders on the card than the table allows"),
    WRONG_CASE: ("wrong_case", "特殊情形与记录不符", "the case does not fit the stops, times and modes"),
    WRONG_FARE: ("wrong_fare", "应收票价不符", "the list fare is not the table's"),
    WRONG_OWED: ("wrong_owed", "补收金额不符", "what was charged beside the fare is not the table's"),
    NOT_ENTITLED: ("not_entitled", "不应享受的优惠", "a monthly tier or transfer that the table does not have"),
    WRONG_DISCOUNT: ("wrong_discount", "优惠金额不符", "the discount is not the table's"),
}
OF_DISCOUNT = (NOT_ENTITLED, WRONG_DISCOUNT)


class _Found(Exception):
    """Ends the check; `what` is a finding."""

    def __init__(self, what: int) -> None:
        self.what = what
        super().__init__(what)


def verdict(tariff: "Tariff", tap: "Any", others: "Sequence[Tariff]" = ()) -> int:
    """0 where the tariff charges what the tap says, else a finding. Raises nothing for whatever `from_wire` lets pass.

    tap     TAP_V1 as unpacked, or what has its fields
    others  tariffs of the same mode by which a bus ride may have begun: earlier versions, other lines
    """
    try:
        _judge(tariff, tap, others)
    except _Found as found:
        return found.what
    except NoFare:
        return NO_SUCH_RIDE
    return 0


def _judge(tariff: "Tariff", tap: "Any", others: "Sequence[Tariff]") -> None:
    event = tap.event & 15
    if tap.industry != tariff.mode:
        raise _Found(OTHER_MODE)
    if tap.ride_s > tap.at_s:
        raise _Found(WRONG_CASE)
    if event == SINGLE:
        _check_single(tariff, tap)
        return
    grid = tariff.grid
    if grid is None or event not in (BOARD, ALIGHT, MAKE_UP) or tap.type != 9 or tap.riders > 1:
        raise _Found(NO_SUCH_TAP)
    if event != ALIGHT and tap.list_fen:
        raise _Found(WRONG_FARE)
    if event != ALIGHT and tap.discount_fen:
        raise _Found(WRONG_DISCOUNT)
    if event == BOARD:
        _check_begin(tariff, grid, tap)
    elif event == MAKE_UP:
        _check_make_up(tariff, grid, tap, others)
    elif grid.shape == ONWARD:
        _check_alighting(tariff, grid, tap, others)
    else:
        _check_exit(tariff, grid, tap)
    _check_sum(tap)


def _check_single(tariff: "Tariff", tap: "Any") -> None:
    riders = tap.riders or 1
    if riders > tariff.rules["riders_max"]:
        raise _Found(TOO_MANY_RIDERS)
    if tap.fare_case or tap.ride_s:
        raise _Found(WRONG_CASE)
    if tap.owed_fen:
        raise _Found(WRONG_OWED)
    if tariff.grid is not None:
        list_fen = tariff.grid.fen(tap.layer, tap.stop_in, tap.stop_out)
    elif tap.stop_in or tap.stop_out:  # its layer is the direction of the line, and says nothing about the price
        raise _Found(NO_SUCH_TAP)
    else:
        try:
            list_fen = tariff.list_fen(end=tap.list_fen // riders if tariff.scheme == METER else 0)
        except BadInput:
            raise _Found(WRONG_FARE)
    if tap.list_fen != riders * list_fen:
        raise _Found(WRONG_FARE)
    _check_discount(tariff, tap, list_fen, riders)
    _check_sum(tap)


def _check_begin(tariff: "Tariff", grid: "Grid", tap: "Any") -> None:
    if tap.stop_out or tap.ride_s:
        raise _Found(NO_SUCH_TAP)
    if tap.layer >= grid.layers:
        raise NoFare("the fare table has no such layer")
    if grid.shape == ONWARD:
        if tap.fare_case not in (0, decision.NO_EXIT, decision.ELSEWHERE, decision.CLOCK):
            raise _Found(WRONG_CASE)
        grid.onward_fen(tap.layer, tap.stop_in)
        owed = [0]  # what an open ride owes is a purchase of its own
    else:
        if tap.fare_case not in (0, decision.NO_EXIT, decision.DEGRADED) or tap.modes & trip.ENTRY_FREE:
            raise _Found(WRONG_CASE)  # gates that stand open touch no card
        grid.index(tap.stop_in)
        owed = [0]
        if tap.fare_case == decision.NO_EXIT and tariff.rules["ride"]["missing_exit"]:
            owed.append(_missing_fen(tariff, grid))
    if tap.owed_fen not in owed:
        raise _Found(WRONG_OWED)


def _check_exit(tariff: "Tariff", grid: "Grid", tap: "Any") -> None:
    ride = tariff.rules["ride"]
    owed_fen, list_fen = 0, 0
    case = tap.fare_case
    if tap.modes & trip.EXIT_FREE:  # gates that stand open touch no card
        raise _Found(WRONG_CASE)
    if case == decision.DEGRADED:  # also where the table has no price for it
        if not tap.modes & trip.FARE_FREE:
            raise _Found(WRONG_CASE)
    else:
        list_fen = trip.list_fen(grid, tap.layer, tap.stop_in, tap.stop_out)
        if case != _case_of_exit(ride, tap):
            raise _Found(WRONG_CASE)
        if case == decision.OVERTIME:
            owed_fen = ride["overtime_fen"]
            if ride["overtime_mode"] == decision.REPLACES:
                list_fen = 0
        elif case == decision.SAME_PLACE and tap.ride_s <= 60 * ride["same_free_min"]:
            list_fen = ride["same_free_fen"]
    if tap.owed_fen != owed_fen:
        raise _Found(WRONG_OWED)
    if tap.list_fen != list_fen:
        raise _Found(WRONG_FARE)
    _check_discount(tariff, tap, list_fen, 1)


def _case_of_exit(ride: "dict[str, int]", tap: "Any") -> int:
    if tap.modes & trip.FARE_FREE:
        return int(decision.DEGRADED)
    if tap.ride_s > 60 * ride["max_minutes"] and not tap.modes & trip.TIME_FREE:
        return int(decision.OVERTIME)
    return int(decision.SAME_PLACE) if tap.stop_in == tap.stop_out else 0


def _check_alighting(tariff: "Tariff", grid: "Grid", tap: "Any", others: "Sequence[Tariff]") -> None:
    ride = tariff.rules["ride"]
    fare_fen = None  # what was written at boarding
    if tap.owed_fen:
        raise _Found(WRONG_OWED)
    if tap.ride_s > 60 * ride["max_minutes"]:
        raise _Found(WRONG_CASE)
    if tap.fare_case == decision.SAME_PLACE and tap.stop_in == tap.stop_out:
        fare_fen = _same_stop_fen(grid, ride, tap)
    elif tap.fare_case == 0:
        fare_fen = grid.fen(tap.layer, tap.stop_in, tap.stop_out)
    elif tap.fare_case != decision.WRONG_ORDER:
        raise _Found(WRONG_CASE)
    if not _was_marked(grid, others, tap, tap.list_fen, fare_fen):
        raise _Found(WRONG_FARE)
    _check_discount(tariff, tap, tap.list_fen, 1)


def _same_stop_fen(grid: "Grid", ride: "dict[str, int]", tap: "Any") -> "int | None":
    """None: what was written at boarding, since no ride leads on by this table."""
    if tap.ride_s <= 60 * ride["same_free_min"]:
        return ride["same_free_fen"]
    try:
        return grid.least_fen(tap.layer, tap.stop_in)
    except NoFare:
        return None


def _check_make_up(tariff: "Tariff", grid: "Grid", tap: "Any", others: "Sequence[Tariff]") -> None:
    if grid.shape != ONWARD:
        _check_desk(tariff, grid, tap)
        return
    if tap.stop_out:
        raise _Found(NO_SUCH_TAP)
    if tap.fare_case == decision.NO_EXIT:  # in this very bus, too late
        fits = _was_marked(grid, others, tap, tap.owed_fen, None)
    elif tap.fare_case == decision.ELSEWHERE:  # maybe a line whose table nobody has here
        fits = tap.owed_fen <= max([tariff.high_fen] + [other.high_fen for other in others])
    else:
        raise _Found(WRONG_CASE)
    if not fits:
        raise _Found(WRONG_OWED)


def _check_desk(tariff: "Tariff", grid: "Grid", tap: "Any") -> None:
    if tap.fare_case == decision.NO_ENTRY:
        grid.index(tap.stop_in)
        owed = [0]
    elif tap.fare_case == decision.NO_EXIT:
        owed = [0, _missing_fen(tariff, grid)]
        if tap.owed_fen not in owed:  # the passenger has named where he left
            owed.append(trip.list_fen(grid, tap.layer, tap.stop_in, tap.stop_out))
    else:
        raise _Found(WRONG_CASE)
    if tap.owed_fen not in owed:
        raise _Found(WRONG_OWED)


def _was_marked(
    grid: "Grid", others: "Sequence[Tariff]", tap: "Any", paid_fen: int, fare_fen: "int | None"
) -> bool:
    """`paid_fen` is the fare, None: any, or less where less was written at boarding: by this table, else by another.

    raises  NoFare where by no table a ride begins there
    """
    turned = tap.fare_case in (decision.WRONG_ORDER, decision.NO_EXIT)
    known = False
    for i in range(-1, len(others)):
        table = others[i].grid if i >= 0 else grid
        if table is None or table.shape != ONWARD:
            continue
        for layer in range(table.layers) if turned else (tap.layer,):
            try:
                marked_fen = table.onward_fen(layer, tap.stop_in)
            except NoFare:
                continue
            known = True
            if paid_fen == marked_fen if fare_fen is None else paid_fen == min(fare_fen, marked_fen):
                return True
    if not known:
        raise NoFare("no table lets a ride begin at place %d" % tap.stop_in)
    return False


def _missing_fen(tariff: "Tariff", grid: "Grid") -> int:
    fen: int = tariff.rules["ride"]["missing_exit_fen"] or grid.lowest_fen
    return fen


def _check_discount(tariff: "Tariff", tap: "Any", list_fen: int, riders: int) -> None:
    tier, visitor, transfer_from = granted.unpack(tap.granted)
    rights = tariff.rules["visitors"] if visitor else 15
    so_far, given = None, None
    if tier and rights & OF_MONTH:
        tiers = tariff.rules["month"][1] if tariff.rules["month"] else []
        if tier > len(tiers):
            raise _Found(NOT_ENTITLED)
        so_far = Month(0, tiers[tier - 1][0], tiers[tier - 1][0])
    if transfer_from and rights & OF_TRANSFER:
        offer = tariff.transfers.offer(transfer_from, tariff.mode) if tariff.transfers is not None else None
        if offer is None:
            raise _Found(NOT_ENTITLED)
        given = Given(offer[0], offer[1], None)
    began = [tap.at_s - tap.ride_s]
    if tap.event & 15 == ALIGHT and tap.ride_s == 0:  # or a little later, by the clock of another device
        began.append(tap.at_s + tariff.rules["ride"]["slack_s"])
    for began_s in began:
        price = tariff.price(list_fen, tap.card_kind, began_s, not visitor, so_far, given, riders)
        if tap.discount_fen == price.discount_fen:
            return
    raise _Found(WRONG_DISCOUNT)


def _check_sum(tap: "Any") -> None:
    if tap.amount_fen != tap.list_fen - tap.discount_fen + tap.owed_fen:
        raise _Found(WRONG_FARE)
