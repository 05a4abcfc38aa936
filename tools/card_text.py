"""A card, a PSAM or a blank in words, 中文 and English. What was read: card_read."""

from typing import Any

from tunion import bcd
from tunion.card.product import NATIONAL
from tunion.money import yuan

Words = tuple[str, str]

STATES: dict[str, Words] = {
    "ok": ("正常", "in order"),
    "blocked": ("应用已锁定:由发卡机构解锁", "application blocked: the issuer may unblock it"),
    "blocked_card": ("卡或应用已锁定:请持卡人到发卡机构", "card or application blocked: send the holder to the issuer"),
    "blocked_for_good": ("应用已永久锁定:换卡", "application blocked for good: replace the card"),
}
PERIODS: dict[str, Words] = {
    "valid": ("有效期内", "valid"),
    "expired": ("已过期:到发卡机构延期或换卡", "expired: the issuer may extend or replace it"),
    "early": ("未到启用日期", "not yet valid"),
    "bad": ("日期错误:换卡", "dates that are none: replace the card"),
}
KINDS: dict[int, Words] = {
    1: ("普通卡", "ordinary"), 2: ("学生卡", "student"), 3: ("老人卡", "senior"), 4: ("测试卡", "test"),
    5: ("军人卡", "military"),
}  # fmt: skip
TYPES: dict[str, Words] = {
    "load": ("充值", "load"), "purchase": ("消费", "purchase"), "compound": ("复合消费", "compound purchase"),
}  # fmt: skip
EVENTS: dict[int, Words] = {
    0x00: ("初始", "initial"), 0x01: ("现金进站", "e-cash entry"), 0x02: ("现金出站", "e-cash exit"),
    0x03: ("进站/上车", "entry"), 0x04: ("出站/下车", "exit"), 0x05: ("现金单次", "e-cash single"),
    0x06: ("单次", "single"), 0x07: ("现金补票", "e-cash make-up"), 0x08: ("补票", "make-up"),
    0x09: ("现金充值", "e-cash load"), 0x0A: ("充值", "load"), 0x12: ("锁卡/退款", "lock or refund"),
}  # fmt: skip
INDUSTRIES: dict[int, Words] = {
    1: ("地铁", "metro"), 2: ("公交", "bus"), 3: ("水上", "water"), 4: ("出租", "taxi"), 5: ("租车", "rental"),
    6: ("自行车", "bicycle"), 7: ("停车", "parking"), 8: ("长途客运", "coach"), 9: ("轮渡", "ferry"),
    0x0A: ("城际铁路", "intercity rail"), 0x0B: ("民航", "air"), 0x0C: ("高速收费", "toll"),
    0x0E: ("市域铁路", "suburban rail"),
}  # fmt: skip
TRIP_STATES: dict[tuple[str, int], Words] = {
    ("2701", 0): ("初始", "initial"), ("2701", 1): ("已进站", "inside"), ("2701", 2): ("已出站", "outside"),
    ("2701", 3): ("已补进站", "entry corrected"), ("2701", 4): ("已补出站", "exit corrected"),
    ("2702", 0): ("初始", "initial"), ("2702", 1): ("已上车", "on board"), ("2702", 2): ("已下车", "alighted"),
}  # fmt: skip
STAGES: dict[int, Words] = {
    0: ("空白:待初始化", "blank: to be initialised"),
    1: ("已初始化:待个人化", "initialised: to be personalised"),
    2: ("已个人化", "personalised"),
}
ALGORITHMS = {0: "3DES", 4: "SM4"}
# City codes of GB/T 13497 that a reader here meets most; others are shown as they are
CITIES: dict[str, Words] = {
    "1000": ("北京", "Beijing"), "1121": ("天津", "Tianjin"), "2900": ("上海", "Shanghai"),
    "3010": ("南京", "Nanjing"), "3050": ("苏州", "Suzhou"), "3310": ("杭州", "Hangzhou"),
    "5510": ("长沙", "Changsha"), "5800": ("广东", "Guangdong"), "5810": ("广州", "Guangzhou"),
    "5840": ("深圳", "Shenzhen"), "6100": ("广西", "Guangxi"), "6110": ("南宁", "Nanning"),
    "6140": ("柳州", "Liuzhou"), "6170": ("桂林", "Guilin"), "6510": ("成都", "Chengdu"),
    "6590": ("绵阳", "Mianyang"), "6900": ("重庆", "Chongqing"), "7910": ("西安", "Xi'an"),
}  # fmt: skip


def both(words: Words | None, raw: object) -> str:
    """中文 | English, or the value as it is where nobody has a word for it."""
    return f"{words[0]} | {words[1]}" if words else f"{raw}"


def city(code: str) -> str:
    words = CITIES.get(code)
    return f"{code} {both(words, '')}" if words else code


def period(start: str, expiry: str, today: str) -> str:
    """One of PERIODS. Dates are digits YYYYMMDD; both days count."""
    for date in (start, expiry):
        if not bcd.is_date(bytes.fromhex(date)):
            return "bad"
    return "early" if today < start else "expired" if today > expiry else "valid"


def dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date.isdecimal() else date


def money(amount_fen: int) -> str:
    return f"{yuan(amount_fen)} 元"


def lines(found: dict[str, Any]) -> list[str]:
    """What to print. `number` and the like are as they shall be seen."""
    kind = found["kind"]
    if kind == "unknown":
        return ["未知的卡:既非交通联合卡、PSAM,也非空白卡 | unknown: no T-Union card, no PSAM and no blank of ours",
                f"  ATR  {found['atr']}"]  # fmt: skip
    if kind == "blank":
        return ["空白芯片 | blank chip", *_chip(found["chip"])]
    if kind == "psam":
        return ["PSAM 卡 | PSAM", *_psam(found["psam"], found["period"]),
                *(_chip(found["chip"]) if "chip" in found else [])]  # fmt: skip
    printed = []
    for number, application in enumerate(found["applications"], 1):
        name = application["product"]
        title = "交通联合卡 | T-Union card" if name == NATIONAL.name else f"地方应用 | regional application: {name}"
        printed += [title if number == 1 else f"第二应用 | second application: {title}", *_application(application)]
    return printed


def _chip(chip: dict[str, Any]) -> list[str]:
    lost = " 已锁死:报废 | locked for ever: scrap it" if chip["tries_left"] == 0 else ""
    return [
        f"  芯片 chip      {chip['serial']}, 厂商 maker {chip['maker']}, 掩膜 mask {chip['mask']}",
        f"  阶段 stage     {chip['stage']} {both(STAGES.get(chip['stage']), '')}",
        f"  剩余次数 tries {chip['tries_left']}{lost}",
    ]


def _psam(sam: dict[str, Any], valid: str | None) -> list[str]:
    rows = [f"  终端机编号 number      {sam['number']}"]
    if sam.get("state") == "blocked":
        rows.append("  状态 state             已锁定:退回发行机构 | locked: give it back to its issuer")
    if "serial" in sam:
        rows.append(f"  序列号 serial          {sam['serial']}, 版本 version {sam['version']}")
    if "start" in sam:
        dates = f"{dashed(sam['start'])} … {dashed(sam['expiry'])}"
        rows += [
            f"  发行 issuer            {sam['issuer']}",
            f"  接收 receiver          {sam['receiver']}",
            f"  有效期 dates           {dates}, {both(PERIODS.get(valid or ''), '')}",
            f"  密钥索引 key index     {sam['key_index']}",
        ]
    if "terminal_counter" in sam:
        rows.append(f"  终端交易序号 counter   {sam['terminal_counter']}")
    return rows


def _application(one: dict[str, Any]) -> list[str]:
    rows = [f"  状态 state        {both(STATES[one['state']], one['state'])}"]
    if "number" in one:
        rows += [
            f"  卡号 number       {one['number']}",
            f"  发卡机构 issuer   {one['issuer']}",
            f"  有效期 dates      {dashed(one['start'])} … {dashed(one['expiry'])}, {both(PERIODS[one['period']], '')}",
        ]
        if not one["enabled"]:
            rows.append("  未启用或已停用 | not enabled, or disabled by its issuer")
    if "city" in one:
        rows.append(f"  城市 city         {city(one['city'])}")
        rows.append(f"  卡种 kind         {both(KINDS.get(one['kind']), one['kind'])}")
    if "interoperable" in one:
        words = ("全国互通", "accepted nationwide") if one["interoperable"] else ("仅限本地", "local only")
        rows.append(f"  互通 interop      {both(words, '')}")
    if one["unreadable"]:
        rows.append(f"  不可读文件 unread {', '.join(one['unreadable'])}")
    if "balance_fen" in one:
        limit = f", 透支限额 limit {money(one['limit_fen'])}" if one["limit_fen"] else ""
        rows.append(f"  余额 balance      {money(one['balance_fen'])}{limit}")
    for name, title in (("offline", "脱机计数 offline"), ("online", "联机计数 online ")):
        if name in one.get("counters", {}):
            rows.append(f"  {title}  {one['counters'][name]}")
    for use, title in (("purchase", "消费密钥 purchase key"), ("load", "充值密钥 load key")):
        key = one.get("keys", {}).get(use)
        if key:
            algorithm = ALGORITHMS.get(key["algorithm"], f"{key['algorithm']:02X}")
            rows.append(f"  {title}: 索引 index {key['index']}, 版本 version {key['version']}, {algorithm}")
    for entry in one.get("open_trips", []):
        state = both(TRIP_STATES.get((entry["record"], entry["state"])), entry["state"])
        mark = "行程未结束 | trip is open" if entry["open"] else "行程记录 | last trip"
        locked = ", 已锁定 | locked by an operator" if entry["locked"] else ""
        where = f"{city(entry['city'])} {entry['place']}, {entry['at']}"
        rows.append(f"  {entry['record']} {mark}: {state}, {where}{locked}")
    rows += _list("交易记录 | log", [
        f"    {each['at']}  {both(TYPES.get(each['type']), each['type'])}  {money(each['amount_fen'])}  "
        f"#{each['counter']}  {each['terminal']}"
        for each in one.get("log", [])
    ])  # fmt: skip
    rows += _list("行程 | trips", [
        f"    {each['at']}  {both(INDUSTRIES.get(each['industry']), each['industry'])}: "
        f"{both(EVENTS.get(each['event']), each['event'])}  {city(each['city'])} "
        f"{each['place'][:4]}/{each['place'][4:]}  {money(each['amount_fen'])}, "
        f"余额 balance {money(each['balance_fen'])}"
        for each in one.get("trips", [])
    ])  # fmt: skip
    return rows


def _list(title: str, rows: list[str]) -> list[str]:
    return [f"  {title}:", *rows] if rows else []
