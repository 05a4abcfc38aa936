"""Keys as a person reads them, 中文 and English side by side."""

import time

from backoffice.keys import backend
from backoffice.keys.backend import KeyInfo
from backoffice.keys.hierarchy import NOT_IN_CARDS_S
from tools.backoffice_text import print_table

_STATES = {
    backend.GENERATED: "已生成 generated",
    backend.ACTIVE: "在用 active",
    backend.VERIFY_ONLY: "仅验证 verify_only",
    backend.RETIRED: "停用 retired",
    backend.DESTROYED: "已销毁 destroyed",
    backend.COMPROMISED: "泄露 compromised",
}


def print_keys(infos: list[KeyInfo]) -> None:
    """A table; no value, and no more of one than its check value."""
    if not infos:
        print("没有密钥 | no keys")
        return
    print_table(
        (("密钥", "key"), ("用途", "purpose"), ("算法", "algorithm"), ("级别", "level"), ("属于", "subject"),
         ("版本", "version"), ("索引", "index"), ("校验值", "KCV"), ("状态", "state"), ("", "")),
        [
            (info.key_id, info.purpose, info.algorithm, info.level, info.subject or "-", str(info.version),
             str(info.index), info.kcv, _STATES[info.state], _more(info))
            for info in infos
        ],
        left=10,
    )  # fmt: skip


def _more(info: KeyInfo) -> str:
    """What a person should know of its state."""
    if info.state == backend.ACTIVE and info.activates_s == NOT_IN_CARDS_S:
        return "未进卡 in PSAMs, in no card yet"
    if info.state == backend.VERIFY_ONLY and info.retires_s:
        return f"至 until {_day(info.retires_s)}"
    if info.state == backend.COMPROMISED:
        return f"自 since {_day(info.compromised_s)}"
    return ""


def _day(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s + 8 * 3600))
