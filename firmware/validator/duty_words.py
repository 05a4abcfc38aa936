"""The driver's keys as words, for whatever brings them: a keypad, a console, a test. And his panel's words.

    login 1234   logout   line 5   direction   stop +   stop -   riders 3   duty   help
    repair entry 101   repair exit 105   repair off   ride 11 14
"""

from tunion.compat import const
from tunion.money import yuan
from validator import messages
from validator.duty import DutyRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.duty import Duty

KNOWN = "login logout line direction stop riders duty help repair ride"  # first words
_DIGITS_MAX = const(10)
_WAYS = (("上行", "up"), ("下行", "dn"))
_REPAIRS = {"entry": ("补进站", "Mend in"), "exit": ("补出站", "Mend out")}


def said(duty: "Duty", words: "list[str]") -> "tuple[str, str, str]":
    """Do what the driver says. Returns the answer's word (messages.DRIVER), 中文, English.

    words  split at spaces; no word at all is "unknown"
    """
    try:
        word = _done(duty, words)
    except DutyRefused as refused:
        word = refused.word
    zh, en = messages.driver_words(word)
    return word, zh, en


def _done(duty: "Duty", words: "list[str]") -> str:
    if words in (["help"], ["duty"]):
        return "help" if words == ["help"] else "ok"
    if words == ["stop", "+"]:
        duty.to_next_stop()
    elif words == ["stop", "-"]:
        duty.to_next_stop(-1)
    elif words == ["logout"]:
        duty.logout()
    elif words == ["direction"]:
        duty.turn()
    elif words and words[0] in ("login", "line", "riders"):
        acts: dict[str, Callable[[int], None]] = {"login": duty.login, "line": duty.to_line, "riders": duty.to_riders}
        if len(words) != 2 or not _is_number(words[1]):
            raise DutyRefused("number")
        acts[words[0]](int(words[1]))
    elif words == ["repair", "off"]:
        duty.to_repair("", 0)
    elif len(words) > 1 and words[0] == "repair" and words[1] in ("entry", "exit"):
        duty.to_repair(words[1], *_numbers(words[2:], 1))
    elif words and words[0] == "ride":
        duty.to_ride(*_numbers(words[1:], 2))
    else:
        raise DutyRefused("unknown")
    return "ok"


def _numbers(words: "list[str]", count: int) -> "list[int]":
    """Exactly so many. Raises DutyRefused."""
    if len(words) != count or not all([_is_number(word) for word in words]):
        raise DutyRefused("number" if count == 1 else "numbers")
    return [int(word) for word in words]


def _is_number(word: str) -> bool:
    """ASCII digits: CPython's isdigit takes others, too, and int not all of those."""
    return 0 < len(word) <= _DIGITS_MAX and all(["0" <= digit <= "9" for digit in word])


def lines(duty: "Duty") -> "tuple[tuple[str, ...], tuple[str, ...]]":
    """The driver's display: four lines 中文, two lines English, 16 columns each."""
    zh_way, en_way = _WAYS[duty.direction]
    total = duty.totals
    zh_first, en_first = "%d路%s" % (duty.line, zh_way), "L%d %s S%d" % (duty.line, en_way, duty.stop)
    zh_stop = "站%d 每卡%d人" % (duty.stop, duty.riders)
    if not duty.ready:
        return (zh_first, zh_stop, "请司机登录", ""), (en_first, "Driver: log in")
    if duty.meter_fen:
        return (zh_first, zh_stop, "计价器", yuan(duty.meter_fen) + "元"), (en_first, "Meter " + yuan(duty.meter_fen))
    if not duty.kept:
        return (zh_first, zh_stop, "未能保存", "请报修"), (en_first, "Not saved")
    if duty.repair:
        what, station = duty.repair
        zh_what, en_what = _REPAIRS[what]
        return (zh_first, zh_stop, zh_what, "站%d" % station), (en_first, "%s S%d" % (en_what, station))
    money = yuan(total.amount_fen)
    if duty.stop_to:
        zh_first, en_first = "站%d至%d" % (duty.stop, duty.stop_to), "S%d to S%d" % (duty.stop, duty.stop_to)
        zh_stop = "每卡%d人" % duty.riders
    zh = (zh_first, zh_stop, "司机%d" % duty.driver, "%d次 %s元" % (total.served, money))
    return zh, (en_first, "%dx %s" % (total.served, money))
