"""The back office's tables as a clerk reads them, 中文 and English side by side."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from backoffice.clearing.close import Closing
from backoffice.store import states
from tunion.money import yuan

Head = Sequence[tuple[str, str]]        # 中文 above English

_STATES = {
    states.UNIQUE: ("待核对", "to be checked"),
    states.CHECKED: ("待验证", "TAC to be verified"),
    states.VERIFIED: ("待清分", "verified, enters the next run"),
    states.CLEARED: ("已清分", "cleared"),
    states.NOTED: ("已核验，无金额", "verified, no money in it"),
    states.GREY: ("灰记录", "grey: nobody knows yet whether the card was debited"),
    states.SUSPECT: ("存疑", "suspect: see export --what anomalies"),
    states.HELD: ("挂起", "held: a second record under one key"),
    states.REJECTED: ("拒付", "rejected: never clears"),
    states.VOID: ("作废", "void: no debit, or given up for the passenger"),
}
_CENTRES = {"city": ("市清分中心", "city centre"), "province": ("省清分中心", "province centre"),
            "nation": ("国家清分中心", "national centre")}


def print_closing(closing: Closing, figures: dict[str, Any]) -> None:
    """How the day closed, then the figures of the whole database."""
    if closing.problems:
        print(f"{closing.day}: 清分失败，未发布 | FAILED, nothing published")
        for problem in closing.problems:
            print(f"  {problem}")
    else:
        print(f"{closing.day}: 清分完成 | cleared, {closing.new_records} 笔新增 new records")
    print_summary(figures)


def print_summary(figures: dict[str, Any]) -> None:
    if not figures["taps"]:
        print("还没有交易 | no taps yet")
    print_table(
        (("运营单位、发卡机构", "operator, issuer"), ("笔数", "taps"), ("金额", "amount"), ("手续费", "fee"),
         ("净额", "net")),
        list(_by_operator(figures["lines"])),
        left=1,
    )  # fmt: skip
    print_table(
        (("机构", "organisation"), ("收 + 付 -", "receives + pays -")),
        [(_party(org, figures["orgs"]), yuan(fen)) for org, fen in figures["nets_fen"].items()],
        left=1,
    )
    print_table(
        (("状态", "state"), ("笔数", "taps"), ("金额", "amount")),
        [
            (" ".join(_STATES[name]), str(state["count"]), yuan(state["amount_fen"]))
            for name, state in sorted(figures["states"].items())
        ],
        left=1,
    )
    print(
        f"已清分 cleared {yuan(figures['cleared_fen'])}, 未结 open {yuan(figures['open_fen'])}, "
        f"作废 void {yuan(figures['void_fen'])} (元 yuan)"
    )
    if figures["anomalies"]:
        print("异常 anomalies: " + ", ".join(f"{code} {n}" for code, n in figures["anomalies"].items()))
    if figures["output_digest"]:
        print(f"摘要 digest {figures['output_digest']}")


def print_table(head: Head, rows: list[tuple[str, ...]], left: int) -> None:
    """Columns as wide as their widest cell; the first `left` are text, the others figures. Nothing without rows."""
    if not rows:
        return
    heads = [tuple(column[language] for column in head) for language in (0, 1)]
    widths = [max(_width(row[i]) for row in [*heads, *rows]) for i in range(len(head))]
    for row in [*heads, *rows]:
        cells = []
        for i, cell in enumerate(row):
            gap = " " * (widths[i] - _width(cell))
            cells.append(cell + gap if i < left else gap + cell)
        print("  ".join(cells).rstrip())
    print()


def _by_operator(lines: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Each operator with its sum, its issuers below it, and all together; the same again for test money."""
    for is_test in (0, 1):
        kind = [line for line in lines if line["test"] == is_test]
        mark = " [测试 test]" if is_test else ""
        for _, group in groupby(kind, lambda line: line["operator"]):
            own = list(group)
            yield (f"{own[0]['operator_zh']} {own[0]['operator_en']}{mark}", *_sums(own))
            for line in own:
                yield (f"  {line['issuer_zh']} {line['issuer_en']}", *_sums([line]))
        if kind:
            yield (f"合计 total{mark}", *_sums(kind))


def _sums(lines: list[dict[str, Any]]) -> tuple[str, ...]:
    money = (yuan(sum(line[name] for line in lines)) for name in ("amount_fen", "fee_fen", "net_fen"))
    return (str(sum(line["count"] for line in lines)), *money)


def _party(org: str, names: dict[str, dict[str, str]]) -> str:
    """An organisation or centre by its names; its code where it has none."""
    plain = org.removeprefix("test/")
    test = " [测试 test]" if plain != org else ""
    if plain in names:
        return f"{names[plain]['zh']} {names[plain]['en']}{test}"
    return " ".join(_CENTRES.get(plain.removeprefix("centre:"), (plain,))) + test


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
