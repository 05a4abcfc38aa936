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
NOT_ON_DUTY = const(19)

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
    NOT_ON_DUTY: ("not_on_duty", "司机未登录", "no driver has logged in"),
}


def name(reason: int) -> str:
    """The name for programs; a number that this version does not know stays a number."""
    return WORDS[reason][0] if reason in WORDS else "reason_%d" % reason
