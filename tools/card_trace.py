"""An APDU trace in words: each command by its name and parts, each answer by its status word.

Lines as `ykt card serve --trace` prints them (`card > 80500102…`, `card < …9000`), or hex alone: then commands and
answers take turns. `**` stands for what was masked. Other lines are passed on as they are.
"""

import re
from collections.abc import Iterable

from tunion.card import files, psam, purse
from tunion.card.apdu import Command
from tunion.record import Record

Words = tuple[str, str]

LINE = re.compile(
    r"^\s*(?:(?P<who>[\w.-]+\s+)?(?P<way><-|->|[<>])\s*)?(?P<hex>(?:(?:[0-9A-Fa-f]{2}|\*\*)\s*){2,})$"
)
SHOWN_BYTES = 32            # of data that nobody has names for
MASKED = 0x00               # stands for a masked byte while it is taken apart

COMMANDS: tuple[Command, ...] = (
    files.SELECT, files.SELECT_FILE, files.READ_BINARY, files.READ_RECORD, purse.INITIALIZE_FOR_PURCHASE,
    purse.INITIALIZE_FOR_COMPOUND, purse.INITIALIZE_FOR_LOAD, purse.UPDATE_COMPOUND, purse.DEBIT_FOR_PURCHASE,
    purse.CREDIT_FOR_LOAD, purse.GET_TRANSACTION_PROVE, purse.GET_BALANCE, purse.GET_CHALLENGE,
    purse.APPLICATION_BLOCK, purse.APPLICATION_UNBLOCK, psam.INIT_SAM_FOR_PURCHASE, psam.CREDIT_SAM_FOR_PURCHASE,
    psam.INIT_FOR_DESCRYPT, psam.DESCRYPT_MAC,
)  # fmt: skip
ZH = {
    "SELECT": "选择应用", "SELECT FILE": "选择文件", "READ BINARY": "读文件", "READ RECORD": "读记录",
    "INITIALIZE FOR PURCHASE": "消费初始化", "INITIALIZE FOR CAPP PURCHASE": "复合消费初始化",
    "INITIALIZE FOR LOAD": "圈存初始化", "UPDATE CAPP DATA CACHE": "更新复合数据缓存", "DEBIT FOR PURCHASE": "扣款",
    "CREDIT FOR LOAD": "圈存", "GET TRANSACTION PROVE": "取交易认证", "GET BALANCE": "读余额",
    "GET CHALLENGE": "取随机数", "APPLICATION BLOCK": "锁定应用", "APPLICATION UNBLOCK": "解锁应用",
    "INIT SAM FOR PURCHASE": "PSAM 消费初始化", "CREDIT SAM FOR PURCHASE": "PSAM 校验 MAC2",
    "INIT FOR DESCRYPT": "PSAM 通用运算初始化", "DESCRYPT": "PSAM 通用运算",
}  # fmt: skip
# Of the sample command set, backoffice/docs/personalise.md, and what has no declaration of its own. CLA, INS
OTHERS: dict[bytes, Words] = {
    b"\x84\x16": ("锁卡", "CARD BLOCK"), b"\x80\xca": ("读芯片信息", "GET CHIP"),
    b"\x00\xc0": ("取响应", "GET RESPONSE"), b"\x00\x82": ("外部认证", "EXTERNAL AUTHENTICATE"),
    b"\x84\xd4": ("写密钥", "WRITE KEY"), b"\x84\xe0": ("建立应用或文件", "CREATE APPLICATION or FILE"),
    b"\x84\xd6": ("写文件", "UPDATE BINARY"), b"\x84\xe2": ("结束阶段", "END STAGE"),
    b"\x04\xd6": ("维护密钥下写文件", "UPDATE BINARY, maintenance key"), b"\xff\xca": ("读 UID", "GET UID"),
}  # fmt: skip
WORDS: dict[int, Words] = {
    0x9000: ("成功", "done"), 0x6283: ("应用已锁定", "application blocked"),
    0x6284: ("应用已失效", "application blocked"), 0x6581: ("存储失败", "memory failure"),
    0x6700: ("长度错误", "wrong length"), 0x6901: ("状态不符", "wrong state"),
    0x6981: ("文件类型不符", "file of another kind"), 0x6982: ("安全条件不满足", "not allowed"),
    0x6983: ("认证已锁死", "no tries left"), 0x6984: ("无随机数", "no challenge"),
    0x6985: ("使用条件不满足", "conditions not satisfied"), 0x6987: ("缺少 MAC", "MAC missing"),
    0x6988: ("MAC 错误", "MAC wrong"), 0x6A80: ("数据错误", "wrong data"),
    0x6A81: ("卡或应用已锁定", "card or application blocked"),
    0x6A82: ("无此文件或应用", "no such file or application"), 0x6A83: ("无此记录", "no such record"),
    0x6A84: ("空间不足", "no room"), 0x6A86: ("P1 P2 错误", "wrong P1 P2"),
    0x6B00: ("偏移超出文件", "outside the file"), 0x6D00: ("不支持的 INS", "unknown INS"),
    0x6E00: ("不支持的 CLA", "unknown CLA"), 0x9302: ("MAC 错误", "MAC wrong"),
    0x9303: ("应用永久锁定", "blocked for good"), 0x9401: ("余额不足", "not enough money"),
    0x9402: ("计数器用尽", "counter spent"), 0x9403: ("无此密钥", "no such key"),
    0x9406: ("无认证可取", "no proof"),
}  # fmt: skip
FAMILIES: dict[int, Words] = {      # by the first byte; the second says how many
    0x61: ("还有字节待取", "bytes wait"), 0x6C: ("正确的 Le", "is the right Le"), 0x63: ("剩余次数", "tries left"),
}  # fmt: skip


def explain(lines: Iterable[str]) -> list[str]:
    """A line or more for each that is hex, empty where none is; others as they are between those."""
    printed: list[str] = []
    found = False
    asked: Command | None = None
    answer_next = False
    for line in lines:
        match = LINE.match(line)
        if match is None:
            printed.append(line.rstrip())
            continue
        found = True
        raw, hidden = _bytes(match["hex"])
        way = match["way"]
        is_answer = way in ("<", "<-") if way else answer_next
        answer_next = not is_answer
        who = f"{match['who'].strip()} " if match["who"] else ""
        if is_answer:
            printed.append(f"{who}< {_status(raw)}")
            printed += _parts(asked.reply if asked else None, raw[:-2], hidden)
        else:
            asked, words = _named(raw)
            printed.append(f"{who}> {words}{_where(raw)}")
            data = raw[5 : 5 + raw[4]] if len(raw) > 5 else b""
            printed += _parts(asked.data if asked else None, data, {at - 5 for at in hidden})
    return printed if found else []


def _bytes(text: str) -> tuple[bytes, set[int]]:
    """And where it was masked."""
    pairs = re.findall(r"[0-9A-Fa-f]{2}|\*\*", text)
    return bytes(MASKED if pair == "**" else int(pair, 16) for pair in pairs), {
        at for at, pair in enumerate(pairs) if pair == "**"
    }


def _named(raw: bytes) -> tuple[Command | None, str]:
    """The declaration with the longest matching head, and the name."""
    head = raw[:4]
    for size in (4, 3, 2):
        for command in COMMANDS:
            if command.head[:size] == head[:size]:
                return command, f"{ZH[command.name]} | {command.name}"
    words = OTHERS.get(head[:2])
    return None, f"{words[0]} | {words[1]}" if words else f"未知指令 | unknown command {head.hex().upper()}"


def _where(raw: bytes) -> str:
    """The file that P1 and P2 name."""
    if len(raw) < 4:
        return ""
    ins, p1, p2 = raw[1:4]
    if ins in (0xB0, 0xD6) and p1 & 0x80:
        return f"  {p1 & 0x1F:02X}h +{p2}"
    if ins in (0xB2, 0xDC):
        return f"  {p2 >> 3:02X}h #{p1}"
    return ""


def _status(raw: bytes) -> str:
    if len(raw) < 2:
        return "没有状态字 | no status word"
    word = int.from_bytes(raw[-2:], "big")
    words = WORDS.get(word)
    if words is None and raw[-2] in FAMILIES:
        left = word & 0x0F if raw[-2] == 0x63 else word & 0xFF
        zh, en = FAMILIES[raw[-2]]
        return f"{word:04X} {zh} {left} | {left} {en}"
    return f"{word:04X} {words[0]} | {words[1]}" if words else f"{word:04X}"


def _parts(layout: Record | None, data: bytes, hidden: set[int]) -> list[str]:
    """Each field of a known layout; else the bytes."""
    if not data:
        return []
    if layout is None or layout.size != len(data):
        more = f" … {len(data)} bytes" if len(data) > SHOWN_BYTES else ""
        return [f"    {_hex(data[:SHOWN_BYTES], hidden)}{more}"]
    row = layout.unpack(data)
    printed = []
    for name, _, at, width in layout.fields:
        value = getattr(row, name)
        raw = _hex(data[at : at + width], {each - at for each in hidden})
        shown = raw if isinstance(value, bytes) or "*" in raw else f"{value} fen" if name.endswith("_fen") else value
        printed.append(f"    {name} = {shown}")
    return printed


def _hex(raw: bytes, hidden: set[int]) -> str:
    return "".join("**" if at in hidden else f"{byte:02X}" for at, byte in enumerate(raw))
