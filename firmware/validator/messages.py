"""What the passenger is told: one table for text, large displays, beeps and lamp. Page: firmware/docs/panel.md.

Each message says what it is and what to do, in Chinese and English, as a sentence and large: two lines of 16 half-width
columns, in which a Chinese character takes two. The words are our own choice.
"""

from collections import namedtuple

from tunion.money import yuan
from tunion.wire import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# zh, en              sentences
# large_zh, large_en  two lines each
# beep                a name of BEEPS
# led                 of the lamp: OFF, GREEN, YELLOW, RED
Message = namedtuple("Message", ("zh", "en", "large_zh", "large_en", "beep", "led"))

COLUMNS = 16
OFF, GREEN, YELLOW, RED = "off", "green", "yellow", "red"

# Milliseconds on, off, on ...
BEEPS = {
    "none": (),
    "one": (100,),
    "two": (100, 100, 100),
    "three": (100, 100, 100, 100, 100),
    "again": (100, 100, 400),
    "long": (800,),
}
# A driver hears who rides: card kind (file 17h) -> beep. Our own choice; concessions are heard.
BEEP_OF_KIND = {1: "one", 2: "two", 3: "two", 4: "three", 5: "three"}
_BY_KIND = "kind"

# A row is one text: a tuple of six costs 250 bytes of heap more, where the modules are not frozen.
# what -> 中文|English|large 中文|large English|beep|led. %(...)s names a detail: fen as yuan, a part in words.
_ROWS = {
    "ready": "请刷卡|Please tap your card|欢迎乘车\n请刷卡|Welcome\nPlease tap card|none|off",
    "paid": (
        "扣款%(fare_fen)s元，余额%(balance_fen)s元|Paid %(fare_fen)s yuan, %(balance_fen)s yuan left|"
        "扣款%(fare_fen)s元\n余额%(balance_fen)s元|Paid %(fare_fen)s\nLeft %(balance_fen)s|kind|green"
    ),
    "board": (
        "上车成功，最多扣款%(marked_fen)s元，余额%(balance_fen)s元，下车请再刷卡|"
        "Boarded, at most %(marked_fen)s yuan, %(balance_fen)s yuan left: tap again when you get off|"
        "下车请再刷卡\n余额%(balance_fen)s元|Tap off later\nLeft %(balance_fen)s|kind|green"
    ),
    "alight": (
        "下车成功，扣款%(fare_fen)s元，余额%(balance_fen)s元|"
        "Tapped off: paid %(fare_fen)s yuan, %(balance_fen)s yuan left|"
        "扣款%(fare_fen)s元\n余额%(balance_fen)s元|Paid %(fare_fen)s\nLeft %(balance_fen)s|kind|green"
    ),
    "enter": (
        "请进站，余额%(balance_fen)s元|Please enter, %(balance_fen)s yuan left|"
        "请进站\n余额%(balance_fen)s元|Please enter\nLeft %(balance_fen)s|kind|green"
    ),
    "exit": (
        "请出站，扣款%(fare_fen)s元，余额%(balance_fen)s元|"
        "Please leave: paid %(fare_fen)s yuan, %(balance_fen)s yuan left|"
        "扣款%(fare_fen)s元\n余额%(balance_fen)s元|Paid %(fare_fen)s\nLeft %(balance_fen)s|kind|green"
    ),
    "passed": "请通行，不扣款|Please go through, nothing is charged|请通行\n不扣款|Go through\nNo charge|one|green",
    "ignored": (
        "已刷过卡，不再扣款，请通行|Already tapped, nothing more is charged: go ahead|已刷过卡\n请通行|"
        "Already tapped\nGo ahead|none|green"
    ),
    "refused": "不能乘车：%(what)s，%(cure)s|Not accepted: %(what)s, %(cure)s|||long|red",
    "tap_again": (
        "请再刷一次卡|Please tap the same card again|请再刷一次卡\n请勿过早拿开|"
        "Tap again\nHold it longer|again|yellow"
    ),
    "two_cards": (
        "有两张卡，请只刷一张|Two cards at once: please tap one only|有两张卡\n请只刷一张|"
        "Two cards\nTap one only|again|yellow"
    ),
    "recovered": (
        "上次已扣款%(fare_fen)s元，余额%(balance_fen)s元，请上车|"
        "Already paid %(fare_fen)s yuan, %(balance_fen)s yuan left: go ahead|"
        "已扣款%(fare_fen)s元\n余额%(balance_fen)s元|Paid %(fare_fen)s\nLeft %(balance_fen)s|kind|green"
    ),
    "desk": (
        "更新完成，扣款%(fare_fen)s元，余额%(balance_fen)s元|"
        "Mended, paid %(fare_fen)s yuan, %(balance_fen)s yuan left|"
        "更新扣%(fare_fen)s元\n余额%(balance_fen)s元|Mended %(fare_fen)s\nLeft %(balance_fen)s|one|green"
    ),
    "fault": (
        "设备故障：%(part)s，请通知司机|Out of order (%(part)s): please tell the driver|"
        "设备故障\n请通知司机|Out of order\nTell the driver|long|red"
    ),
    "back": (
        "设备已恢复：%(part)s，请稍候|Working again (%(part)s): please wait a moment|设备已恢复\n请稍候|"
        "Working again\nPlease wait|none|yellow"
    ),
    "safe_mode": (
        "安全模式，暂停刷卡，请通知司机|Safe mode, no cards are taken: please tell the driver|"
        "暂停刷卡\n请通知司机|No cards now\nTell the driver|long|red"
    ),
    "self_test": (
        "自检：%(found)s|Self-test: %(found)s|自检有异常\n请通知司机|Self-test found\nTell the driver|none|yellow"
    ),
    "closed": (
        "本机暂停服务，请用其他设备|Closed: please use another device|暂停服务\n请用其他设备|"
        "Closed here\nUse another one|none|red"
    ),
}

# What to do: 中文|English.
_CURES = {
    "counter": "请到客服中心|go to the service counter",
    "card": "请换一张卡|use another card",
    "other": "请换卡或付现金|use another card or pay cash",
    "driver": "请通知司机|tell the driver",
    "top_up": "请充值|top it up",
    "renew": "请换新卡|renew it",
    "again": "请再刷一次或换卡|tap again or use another card",
    "wait": "请稍候再刷|wait a moment, then tap",
    "meter": "请等司机结束计价|wait until the driver stops the meter",
    "clerk": "请告知工作人员|ask the clerk",
    "turn": "请司机切换方向|the driver changes the direction",
}

# reason -> cure|large 中文|large English. What it is: tunion.wire.reason.WORDS.
_REASONS = {
    reason.NOT_OUR_CARD: "card|非本系统卡\n请换一张卡|Not our card\nUse another card",
    reason.BLOCKED: "counter|卡已锁定\n请到客服中心|Card is blocked\nSee the counter",
    reason.INVALID_CARD: "counter|无效卡\n请到客服中心|Card not valid\nSee the counter",
    reason.NOT_YET_VALID: "counter|卡未启用\n请到客服中心|Card not started\nSee the counter",
    reason.EXPIRED: "renew|卡已过期\n请换新卡|Card has expired\nRenew your card",
    reason.ISSUER_NOT_ACCEPTED: "other|此卡未受理\n请换卡或付现金|Not taken here\nUse another card",
    reason.NOT_INTEROPERABLE: "other|非互联互通卡\n请换卡或付现金|Own city only\nUse another card",
    reason.TEST_CARD: "card|测试卡\n请换一张卡|A test card\nUse another card",
    reason.DENIED: "counter|此卡已停用\n请到客服中心|Card is stopped\nSee the counter",
    reason.NOT_ENOUGH_MONEY: "top_up|余额不足\n请充值|Balance too low\nTop up the card",
    reason.IMPLAUSIBLE_BALANCE: "counter|余额异常\n请到客服中心|Balance is wrong\nSee the counter",
    reason.CARD_SAYS_NO: "again|卡拒绝交易\n请再刷或换卡|The card refused\nTap again",
    reason.NOT_GENUINE: "counter|卡验证失败\n请到客服中心|Card not genuine\nSee the counter",
    reason.SAM_SAYS_NO: "driver|本机不能收此卡\n请通知司机|Cannot take card\nTell the driver",
    reason.JOURNAL_FULL: "driver|本机存储已满\n请通知司机|Memory is full\nTell the driver",
    reason.NO_CLOCK: "driver|时钟未校准\n请通知司机|Clock is not set\nTell the driver",
    reason.NO_FARE: "driver|无此票价\n请通知司机|No such fare\nTell the driver",
    reason.RIDE_LOCKED: "counter|行程已锁定\n请到客服中心|Ride is locked\nSee the counter",
    reason.TWO_CARDS: "again|有两张卡\n请只刷一张|Two cards\nTap one only",
    reason.OUT_OF_SERVICE: "other|暂停服务\n请换其他设备|Out of service\nUse another one",
    reason.METER_NOT_READY: "meter|计价器未结束\n请稍候再刷|Meter is running\nWait, then tap",
    reason.NO_REPAIR: "clerk|未选择更新项目\n请告知工作人员|Nothing to mend\nAsk the clerk",
    reason.GATE_FAULT: "wait|闸门故障\n请走其他闸机|Gate is faulty\nUse another one",
    reason.NO_SAM: "driver|该卡PSAM故障\n请通知司机|SAM is missing\nTell the driver",
    reason.NOT_ON_DUTY: "driver|司机未登录\n请通知司机|Not in service\nTell the driver",
}

# case -> what it is 中文|English|cure|large 中文|large English. The numbers are those of tunion.fare.decision, which a
# device with flat fares never loads.
_CASES = {
    1: (  # NO_ENTRY
        "无进站记录|no entry on the card|counter|无进站记录\n请到客服中心|"
        "No entry on card\nSee the counter"
    ),
    2: (  # NO_EXIT
        "上次无出站记录|the ride before has no exit|counter|上次未刷卡出站\n请到客服中心|"
        "Last exit missed\nSee the counter"
    ),
    3: (  # OVERTIME
        "超时|too long inside|counter|乘车超时\n请到客服中心|Too long inside\nSee the counter"
    ),
    4: (  # NO_MONEY
        "余额不足|not enough money|top_up|余额不足\n请充值|Balance too low\nTop up the card"
    ),
    5: (  # SAME_PLACE
        "同站进出|out where the ride began|counter|同站进出\n请到客服中心|"
        "Same place again\nSee the counter"
    ),
    6: (  # DEGRADED
        "车站特殊模式或非本线网|station in a degraded mode, or another network's ride|counter|"
        "非本线网行程\n请到客服中心|Not our network\nSee the counter"
    ),
    7: (  # CLOCK
        "时间异常|the ride begins in the future|counter|时间异常\n请到客服中心|"
        "Time is wrong\nSee the counter"
    ),
    8: (  # TWICE
        "重复刷卡|the same tap again|wait|重复刷卡\n请稍候再刷|Tapped twice\nWait, then tap"
    ),
    17: (  # WRONG_ORDER
        "下车站在上车站之前|alighting before boarding|driver|下车站有误\n请通知司机|"
        "Wrong stop order\nTell the driver"
    ),
    18: (  # ELSEWHERE
        "上次未刷卡下车|the ride before was not tapped off|counter|上次未刷卡下车\n请到客服中心|"
        "Last ride open\nSee the counter"
    ),
    19: (  # LAST_STOP
        "已到终点|last stop|turn|已到终点\n请通知司机|Last stop\nTell the driver"
    ),
}

_PARTS = {
    "reader": "读卡器|card reader",
    "sam": "PSAM卡|SAM",
    "flash": "存储器|memory",
    "journal": "存储将满，请连接网络|memory nearly full, connect the network",
    "clock": "时钟|clock",
    "net": "网络|network",
    "lock": "后台停用|locked by the office",
    "lists": "名单|lists",
    "gate": "闸门|gate",
    "power": "供电不足|power supply",
    "gps": "卫星定位|GPS",
    "meter": "计价器|taxi meter",
}

_FINDINGS = (
    (1, "读卡器|card reader"),
    (2, "PSAM卡|SAM"),
    (4, "时钟|clock"),
    (8, "存储将满|memory nearly full"),
    (0x20, "存储器|memory"),
    (0x40, "名单或参数|lists or parameters"),
    (0x80, "内存不足|little memory left"),
)

# What the driver is answered: word -> 中文|English. "ok" and "help", else why his key did nothing.
DRIVER = {
    "ok": "好|done",
    "help": (
        "命令：login 工号、logout、line 线路、direction、stop +、stop -、riders 人数、duty|"
        "words: login NUMBER, logout, line NUMBER, direction, stop +, stop -, riders NUMBER, duty"
    ),
    "unknown": "没有这个命令，输入help查看|no such word: help lists them",
    "number": "请在命令后输入一个数字|a number goes behind this word",
    "driver_number": "工号为1到4294967295|a driver's number is 1 to 4294967295",
    "logged_in": "已有司机登录，请先退出|a driver has logged in: log out first",
    "not_logged_in": "没有司机登录|no driver has logged in",
    "line_unknown": "本机没有这条线路|this device does not know that line",
    "one_direction": "本线路只有一个方向|this line has one direction",
    "no_stops": "本线路没有站点表|this line has no table of stops here",
    "first_stop": "已是首站|this is the first stop",
    "last_stop": "已是末站，请切换方向|this is the last stop: change the direction",
    "riders": "人数超出范围|too many riders, or none",
    "not_kept": "未能保存，断电后会丢失，请报修|not saved, a power cut would lose it: have it repaired",
}

WHAT = tuple(sorted(_ROWS))


def columns(text: str) -> int:
    """Half-width columns that it takes on a display."""
    return sum([2 if ord(letter) > 0x7F else 1 for letter in text])


def driver_words(word: str) -> "tuple[str, str]":
    """中文 and English of a word of DRIVER."""
    zh, en = DRIVER[word].split("|")
    return zh, en


def message(what: str, details: "Mapping[str, Any]") -> Message:
    """One message in every form. Raises KeyError for a message, a detail or a part that is unknown: our bug.

    details  beyond those that the sentences name: `kind` of the card decides the beep; `saved_fen` and `case` are said
             where they are given and not 0
    """
    zh, en, large_zh, large_en, beep, led = _ROWS[what].split("|")
    if what == "refused":
        words_zh, words_en, large_zh, large_en = _refusal(details)
    else:
        words_zh, words_en = _words(details, 0), _words(details, 1)
    zh, en = zh % words_zh, en % words_en
    if what != "refused":
        large_zh, large_en = large_zh % words_zh, large_en % words_en
        more_zh, more_en = _more(details)
        zh, en = zh + more_zh, en + more_en
    if beep == _BY_KIND:
        beep = BEEP_OF_KIND.get(int(details.get("kind", 1)), "one")
    return Message(zh, en, tuple(large_zh.split("\n")), tuple(large_en.split("\n")), beep, led)


def _words(details: "Mapping[str, Any]", language: int) -> "dict[str, str]":
    """The details as a reader sees them. A plain dict: MicroPython formats with no other mapping."""
    words = {}
    for name in details:
        if name == "part":
            words[name] = _PARTS[details[name]].split("|")[language]
        elif name == "found":
            words[name] = _found(int(details[name]), language)
        elif name.endswith("_fen"):
            words[name] = yuan(int(details[name]))
    return words


def _found(found: int, language: int) -> str:
    """What a self-test found; the bits are those of tunion.wire.health, which not every board loads."""
    from tunion.wire import health

    bits = health.folded(found)
    said = [text.split("|")[language] for bit, text in _FINDINGS if bits & bit]
    return ("、", ", ")[language].join(said) or ("正常", "all in order")[language]


def _refusal(details: "Mapping[str, Any]") -> "tuple[Any, Any, str, str]":
    """What it is and what to do, twice, and large. A number of a later version stays a number."""
    number = int(details["reason"])
    case = number - reason.of_case(0)
    if case in _CASES:
        what_zh, what_en, cure, large_zh, large_en = _CASES[case].split("|")
    elif number in _REASONS:
        _, what_zh, what_en = reason.WORDS[number]
        cure, large_zh, large_en = _REASONS[number].split("|")
    else:
        _, what_zh, what_en = reason.words(number)
        cure = "driver"
        large_zh, large_en = "不能乘车%d\n请通知司机" % number, "Not accepted %d\nTell the driver" % number
    cure_zh, cure_en = _CURES[cure].split("|")
    return {"what": what_zh, "cure": cure_zh}, {"what": what_en, "cure": cure_en}, large_zh, large_en


def _more(details: "Mapping[str, Any]") -> "tuple[str, str]":
    """What is said behind a sentence."""
    zh = en = ""
    if details.get("saved_fen"):
        saved = yuan(int(details["saved_fen"]))
        zh, en = "，优惠%s元" % saved, ", %s yuan saved" % saved
    if details.get("case") in _CASES:
        words = _CASES[int(details["case"])].split("|")
        zh, en = zh + "（%s）" % words[0], en + " (%s)" % words[1]
    return zh, en
