"""A device's events in words, 中文 and English: of a journal's image and of the back office's database."""

from functools import cache
from typing import Any

from tools.paths import FIRMWARE
from tunion.wire import health, reason
from tunion.wire import tap as wire
from validator.crash import MODULE_BYTES, module_of

Words = tuple[str, str]

EVENTS: dict[int, Words] = {
    wire.BOOT: ("开机", "boot"),
    wire.REFUSED: ("拒绝", "refused"),
    wire.CARD_BLOCKED: ("锁卡", "card blocked"),
    wire.READER_LOST: ("读卡器断开", "reader lost"),
    wire.READER_BACK: ("读卡器恢复", "reader back"),
    wire.CLOCK_STEP: ("校时", "clock step"),
    wire.SAM_LOST: ("PSAM断开", "SAM lost"),
    wire.SAM_BACK: ("PSAM恢复", "SAM back"),
    wire.PARAMS_ACTIVE: ("参数生效", "parameters active"),
    wire.PARAMS_REFUSED: ("参数拒绝", "parameters refused"),
    wire.LIST_ACTIVE: ("名单生效", "list active"),
    wire.LIST_REFUSED: ("名单拒绝", "list refused"),
    wire.LIST_OLD: ("名单过旧", "list is old"),
    wire.FLASH_WORN: ("闪存磨损", "flash worn"),
    wire.FILLING: ("存储将满", "flash is filling"),
    wire.GATE_TIMED_OUT: ("超时未通过", "nobody went through"),
    wire.INTRUSION: ("闯闸", "intrusion"),
    wire.GATE_FAULT: ("闸门故障", "gate fault"),
    wire.EMERGENCY: ("紧急放行", "emergency"),
    wire.MODE_CHANGED: ("降级模式变更", "degraded modes changed"),
    wire.COMMAND_DONE: ("命令结束", "command ended"),
    wire.LOGIN: ("司机登录", "driver logged in"),
    wire.LOGOUT: ("司机退出", "driver logged out"),
    wire.SHIFT_BEGIN: ("班次开始", "shift begins"),
    wire.SHIFT_END: ("班次结束", "shift ends"),
    wire.LINE_CHANGED: ("线路变更", "line changed"),
    wire.DIRECTION_CHANGED: ("方向变更", "direction changed"),
    wire.CRASH: ("程序崩溃", "crash"),
    wire.SAFE_MODE: ("安全模式", "safe mode"),
    wire.SELF_TEST: ("自检异常", "self-test found"),
    wire.BROWN_OUT: ("供电不足", "brown-out"),
    wire.WATCHDOG: ("看门狗复位", "reset by the watchdog"),
}
_CAUSES: dict[int, Words] = {
    health.POWER: ("上电", "power on"),
    health.WATCHDOG_BIT: ("看门狗复位", "by the watchdog"),
    health.BROWN_OUT_RESET: ("欠压复位", "after a brown-out"),
    health.SOFTWARE: ("自行重启", "restarted itself"),
}
_WHYS: dict[int, Words] = {
    health.CRASHED: ("连续崩溃", "crashed again and again"),
    health.STUCK: ("连续被看门狗复位", "stuck again and again"),
    health.TRIAL: ("运行平稳，尝试恢复", "it ran well: a normal start is tried"),
    health.ORDERED: ("后台命令", "by order of the office"),
}
_STAGES: dict[int, Words] = {
    health.NORMAL: ("退出", "left"),
    health.NO_CARDS: ("不受理卡片", "no cards are taken"),
    health.NO_LISTS: ("不受理卡片，不用名单", "no cards are taken, lists are off"),
    health.NO_PARAMS: ("不受理卡片，名单和参数均不用", "no cards are taken, lists and parameters are off"),
}
FINDINGS: dict[int, Words] = {
    health.READER: ("读卡器", "reader"),
    health.SAM: ("PSAM", "SAM"),
    health.CLOCK: ("时钟未校准", "clock never set"),
    health.MEMORY: ("存储将满", "memory 80 % full"),
    health.FLASH: ("存储器", "memory"),
    health.LISTS: ("名单或参数", "lists or parameters"),
    health.HEAP: ("内存不足", "little memory free"),
    health.SAM_TEST_KEYS: ("PSAM为测试密钥", "SAM holds test keys"),
    health.SAM_EXPIRES: ("PSAM即将到期", "SAM expires within 30 days"),
    health.CLOCK_EARLY: ("时钟早于固件发布日", "clock shows a time before this firmware"),
    health.FLASH_WORN: ("闪存磨损", "flash is worn"),
    health.KEEP_FORGETS: ("断电记忆失效", "what is kept beside the journal does not read back"),
    health.LIST_DAMAGED: ("名单损坏", "a list is damaged"),
    health.LIST_OLD: ("名单过旧", "the deny list is old"),
    health.PARAMS_DAMAGED: ("参数损坏", "parameters are damaged"),
}


def words(body: Any) -> list[Words]:
    """One event: what it is, then what its reason and value say where that is more than numbers.

    body  code, reason and value, of EVENT_V1 or a row of the table `event`
    """
    code = body["code"]
    more = _more(code, body["reason"], body["value"])
    return [EVENTS.get(code, (f"代码 {code}", f"code {code}")), *([more] if more else [])]


def _more(code: int, why: int, value: int) -> Words | None:
    if code == wire.BOOT:
        return _CAUSES.get(why)
    if code == wire.REFUSED:
        return reason.words(why)[1:]
    if code == wire.CRASH:
        kind = health.TYPES[why] if why < len(health.TYPES) else f"type {why}"
        where = crash_place(value)
        return (f"{kind}，{where}" if where else kind), (f"{kind} in {where}" if where else kind)
    if code == wire.SAFE_MODE:
        stage, cause = _STAGES.get(value, (f"{value}级", f"stage {value}")), _WHYS.get(why, ("不明", "unknown"))
        return f"{stage[0]}，{cause[0]}", f"{stage[1]}, {cause[1]}"
    if code == wire.SELF_TEST:
        found = [said for bit, said in FINDINGS.items() if value & bit]
        return "、".join(zh for zh, _ in found), ", ".join(en for _, en in found)
    if code == wire.BROWN_OUT:
        return (f"{value} 毫秒", f"{value} ms") if value else ("已复位", "it ended in a reset")
    return None


def crash_place(value: int) -> str:
    """ "tap:123"; a module of another release by its number; "" where the device could not tell."""
    number, line = health.unplaced(value)
    return f"{_modules().get(number, f'module {number:04X}')}:{line}" if value else ""


@cache
def _modules() -> dict[int, str]:
    """Numbers of this release's modules."""
    names = [module_of(str(path.relative_to(FIRMWARE)))[-MODULE_BYTES:] for path in FIRMWARE.glob("*/**/*.py")]
    return {health.module_number(name): name for name in names if name}
