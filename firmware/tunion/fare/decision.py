"""What a tap on a ride's beginning or end comes to, for metro gates, segment buses and toll lanes alike."""

from collections import namedtuple

from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# act        REFUSE ...: what to do
# case       0 a plain ride, else why: CASES
# owed_fen   charged beside the fare and without any discount: an earlier ride left open, overtime
# fare_fen   the list fare of this ride; discounts are for tunion.fare.discount
# marked_fen BEGIN: the most that the ride may come to (a gate: the network's highest price), for the card; else 0
Decision = namedtuple("Decision", ("act", "case", "owed_fen", "fare_fen", "marked_fen"))

REFUSE = const(0)  # nothing is charged, nothing is written, the gate stays shut
IGNORE = const(1)  # the tap before was this one: show its outcome again
PASS = const(2)  # let through; the card is not touched
BEGIN = const(3)  # owed_fen first, then the ride is open on the card
END = const(4)  # owed_fen and the fare in one purchase; the ride is closed on the card
SET_BEGIN = const(5)  # the desk writes an entry, state 03
SET_END = const(6)  # the desk writes an exit, state 04, and charges owed_fen

NO_ENTRY = const(1)  # TR-01 ... TR-08
NO_EXIT = const(2)
OVERTIME = const(3)
NO_MONEY = const(4)
SAME_PLACE = const(5)
DEGRADED = const(6)
CLOCK = const(7)
TWICE = const(8)
WRONG_ORDER = const(17)  # a segment bus: the stop comes before the one where the ride began
ELSEWHERE = const(18)  # the open ride is of another city, line or vehicle
LAST_STOP = const(19)  # no ride leads on: the driver has not changed the direction

CASES = {
    NO_ENTRY: ("TR-01", "无进站记录,请到客服中心", "no entry on the card: to the service counter"),
    NO_EXIT: ("TR-02", "上次无出站记录", "the ride before has no exit"),
    OVERTIME: ("TR-03", "超时", "too long inside"),
    NO_MONEY: ("TR-04", "余额不足,请充值", "not enough money: top up"),
    SAME_PLACE: ("TR-05", "同站进出", "out where the ride began"),
    DEGRADED: ("TR-06", "车站特殊模式或非本线网", "station in a degraded mode, or another network's ride"),
    CLOCK: ("TR-07", "时间异常,请到客服中心", "the ride begins in the future: to the service counter"),
    TWICE: ("TR-08", "重复刷卡", "the same tap again"),
    WRONG_ORDER: ("BU-01", "下车站在上车站之前", "alighting before boarding"),
    ELSEWHERE: ("BU-02", "上次未刷卡下车", "the ride before was not tapped off"),
    LAST_STOP: ("BU-03", "已到终点,请司机切换方向", "last stop: the driver changes the direction"),
}

REPLACES, ADDS = const(0), const(1)  # overtime_mode

# Numbers of an open ride, all of them in each table that has open rides: name -> lowest and highest value
RIDE = {
    "again_s": (0, 600),  # the same card at the same place within this time is the same tap
    "elsewhere": (0, 1),  # 1: a ride left open on another line or vehicle is charged; 0: it is overwritten
    "entry_min_fen": (0, 0xFFFFFF),  # a card with less does not get in
    "free_repair_min": (0, 1440),  # tapped, not entered: clear at that station within this time
    "max_minutes": (1, 20160),  # longer is overtime
    "missing_exit": (0, 1),  # 1: entering again charges missing_exit_fen; 0: it sends to the desk
    "missing_exit_fen": (0, 0xFFFFFF),  # 0: the lowest price of the table
    "overdraft_fen": (0, 0xFFFFFF),  # once, at an exit, where the issuer permits
    "overtime_fen": (0, 0x7FFFFF),
    "overtime_mode": (0, 1),  # REPLACES the fare, or ADDS to it
    "same_free_fen": (0, 0xFFFFFF),  # out at the same place within same_free_min
    "same_free_min": (0, 1440),  # longer: the square's price, else the cheapest ride from there
    "slack_s": (0, 3600),  # clocks of two devices may differ by this
}


def check_ride(numbers: "Any") -> "dict[str, int]":
    """The numbers of an open ride, each within its range. Raises BadInput naming the first that is not."""
    if not isinstance(numbers, dict) or sorted(numbers, key=str) != sorted(RIDE):
        raise BadInput("an open ride's numbers are %s" % ", ".join(sorted(RIDE)))
    for name in RIDE:
        low, high = RIDE[name]
        if not is_int(numbers[name]) or not low <= numbers[name] <= high:
            raise BadInput("%s takes %d to %d" % (name, low, high))
    return numbers
