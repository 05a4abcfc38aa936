"""Why a tap was refused: the number that is journaled and the words that a driver and a clerk read."""

from tunion.compat import const

NOT_OUR_CARD = const(1)
BLOCKED = const(2)
INVALID_CARD = const(3)
NOT_YET_VALID = const(4)
EXPIRED = const(5)
ISSUER_NOT_ACCEPTED = const(6)
NOT_INTEROPERABLE = const(7)
TEST_CARD = const(8)
DENIED = const(9)
NOT_ENOUGH_MONEY = const(10)
IMPLAUSIBLE_BALANCE = const(11)
CARD_SAYS_NO = const(12)
NOT_GENUINE = const(13)
SAM_SAYS_NO = const(14)
JOURNAL_FULL = const(15)
NO_CLOCK = const(16)
NO_FARE = const(17)
RIDE_LOCKED = const(18)
NOT_ON_DUTY = const(19)
TWO_CARDS = const(20)
OUT_OF_SERVICE = const(21)
METER_NOT_READY = const(22)
NO_REPAIR = const(23)
GATE_FAULT = const(24)
NO_SAM = const(25)
_CASES = const(32)  # and above: the cases of tunion.fare.decision

# number -> (name for programs, 中文, English)
WORDS = {
    NOT_OUR_CARD: ("not_our_card", "非本系统卡", "not a transit card of ours"),
    BLOCKED: ("blocked", "卡已锁定", "the card is blocked"),
    INVALID_CARD: ("invalid_card", "无效卡", "the card's data are not valid"),
    NOT_YET_VALID: ("not_yet_valid", "卡未启用", "the card is not valid yet"),
    EXPIRED: ("expired", "卡已过期", "the card has expired"),
    ISSUER_NOT_ACCEPTED: ("issuer_not_accepted", "发卡机构未受理", "this issuer's cards are not accepted here"),
    NOT_INTEROPERABLE: ("not_interoperable", "非互联互通卡", "this card is good in its own city only"),
    TEST_CARD: ("test_card", "测试卡", "a test card, outside test mode"),
    DENIED: ("denied", "黑名单卡", "the card is on the deny list"),
    NOT_ENOUGH_MONEY: ("not_enough_money", "余额不足", "not enough money on the card"),
    IMPLAUSIBLE_BALANCE: ("implausible_balance", "余额异常", "the balance is not plausible"),
    CARD_SAYS_NO: ("card_says_no", "卡拒绝交易", "the card refused"),
    NOT_GENUINE: ("not_genuine", "卡验证失败", "the card's proof is wrong"),
    SAM_SAYS_NO: ("sam_says_no", "PSAM拒绝交易", "the SAM refused"),
    JOURNAL_FULL: ("journal_full", "存储已满", "the journal is full: sync before more rides"),
    NO_CLOCK: ("no_clock", "时钟未校准", "the clock was never set"),
    NO_FARE: ("no_fare", "无此票价", "the table has no fare for this ride"),
    RIDE_LOCKED: ("ride_locked", "行程记录已锁定", "an operator has locked the card's open ride"),
    TWO_CARDS: ("two_cards", "检测到多张卡", "more than one card: hold only one"),
    NOT_ON_DUTY: ("not_on_duty", "司机未登录", "no driver has logged in"),
    OUT_OF_SERVICE: ("out_of_service", "暂停服务", "out of service for the moment"),
    METER_NOT_READY: ("meter_not_ready", "计价器未结束", "the meter shows no fare to be paid"),
    NO_SAM: ("no_sam", "该卡PSAM未就绪", "the SAM for this kind of card does not answer"),
    NO_REPAIR: ("no_repair", "未选择更新项目", "the service counter was not told what to mend"),
    GATE_FAULT: ("gate_fault", "闸门故障", "the gate is out of order: use another one"),
}


def of_case(case: int) -> int:
    """The reason of a ride that its tariff refuses; case of tunion.fare.decision."""
    return _CASES + case


def words(reason: int) -> "tuple[str, str, str]":
    """(name for programs, 中文, English); for a number that this version does not know, the number."""
    if reason in WORDS:
        return WORDS[reason]
    if reason > _CASES:
        from tunion.fare.decision import CASES  # for devices that have open rides

        if reason - _CASES in CASES:
            code, zh, en = CASES[reason - _CASES]
            return code.lower().replace("-", "_"), zh, en
    return "reason_%d" % reason, "原因%d" % reason, "reason %d" % reason


def name(reason: int) -> str:
    """The name for programs."""
    return words(reason)[0]
