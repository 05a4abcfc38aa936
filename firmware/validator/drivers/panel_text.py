"""The Panel port as lines of text: one JSON object a message, for rigs, the desk and whoever reads along.

    {"at_ms": 5120, "what": "paid", "zh": "...", "en": "...", "fare_fen": 200, "balance_fen": 4800}

`reason` (tunion.wire.reason) goes out by name; amounts stay fen in the fields and are yuan in the sentences.
"""

import json

from tunion.money import yuan
from tunion.wire import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.ports import Clock

# what -> (中文, English, details that the sentences name)
_SENTENCES = {
    "ready": ("请刷卡", "Please tap your card", ()),
    "paid": ("扣款%s元，余额%s元", "Paid %s yuan, %s yuan left", ("fare_fen", "balance_fen")),
    "board": (
        "上车成功，最多扣款%s元，余额%s元，下车请再刷卡",
        "Boarded, at most %s yuan, %s yuan left: tap again when you get off",
        ("marked_fen", "balance_fen"),
    ),
    "alight": ("下车成功，扣款%s元，余额%s元", "Got off, paid %s yuan, %s yuan left", ("fare_fen", "balance_fen")),
    "enter": ("请进站，余额%s元", "Please enter, %s yuan left", ("balance_fen",)),
    "exit": ("请出站，扣款%s元，余额%s元", "Please leave, paid %s yuan, %s yuan left", ("fare_fen", "balance_fen")),
    "passed": ("请通行", "Please pass", ()),
    "ignored": ("已刷卡，请勿重复刷卡", "Tapped already, no need to tap again", ()),
    "desk": ("更新完成，扣款%s元，余额%s元", "Mended, paid %s yuan, %s yuan left", ("fare_fen", "balance_fen")),
    "refused": ("不能乘车：%s", "Not accepted: %s", ("reason",)),
    "tap_again": ("请再刷一次卡", "Please tap the same card again", ()),
    "recovered": (
        "上次已扣款%s元，余额%s元，请上车",
        "Already paid %s yuan, %s yuan left: go ahead",
        ("fare_fen", "balance_fen"),
    ),
    "fault": ("设备故障：%s，请通知司机", "Out of order (%s): please tell the driver", ("part",)),
    "two_cards": ("检测到多张卡，请只刷一张", "More than one card: hold only one", ()),
    "closed": ("暂停使用", "Closed: please use another gate", ()),
    "back": ("设备已恢复：%s", "Working again: %s", ("part",)),
}
_PARTS = {
    "reader": ("读卡器", "card reader"),
    "sam": ("PSAM卡", "SAM"),
    "flash": ("存储器", "memory"),
    "journal": ("存储将满，请连接网络", "memory nearly full, connect the network"),
    "clock": ("时钟", "clock"),
    "net": ("网络", "network"),
    "gate": ("闸门", "gate"),
    "lock": ("后台停用", "locked by the office"),
}


class PanelText:
    """`write` takes one line at a time, newline included; it should not keep it back.

    dumps  one value to JSON; by default json.dumps, which writes Chinese as it is on MicroPython and escaped on CPython
    """

    def __init__(
        self, write: "Callable[[str], object]", clock: "Clock", dumps: "Callable[[Any], str]" = json.dumps
    ) -> None:
        self._write = write
        self._clock = clock
        self._dumps = dumps

    def show(self, what: str, **details: "int | str") -> None:
        """One message. Raises KeyError for a message or a detail that is unknown: our bug."""
        zh, en, named = _SENTENCES[what]
        zh_words = tuple(_words(name, details[name])[0] for name in named)
        en_words = tuple(_words(name, details[name])[1] for name in named)
        if "reason" in details:
            details["reason"] = reason.name(int(details["reason"]))
        fields = [("at_ms", self._clock.ticks_ms()), ("what", what), ("zh", zh % zh_words), ("en", en % en_words)]
        fields += sorted(details.items())
        pairs = ["%s: %s" % (self._dumps(name), self._dumps(value)) for name, value in fields]
        self._write("{%s}\n" % ", ".join(pairs))


def _words(name: str, value: "int | str") -> "tuple[str, str]":
    """One detail as a reader sees it, Chinese and English."""
    if name == "part":
        return _PARTS[str(value)]
    number = int(value)
    if name == "reason":
        return reason.words(number)[1:]
    return yuan(number), yuan(number)
