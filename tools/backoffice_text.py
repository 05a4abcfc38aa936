"""The back office's tables as a clerk reads them, 中文 and English side by side."""

import unicodedata
from typing import Any

from backoffice.clearing.close import Closing
from tunion.money import yuan


def print_closing(closing: Closing, figures: dict[str, Any]) -> None:
    """How the day closed, then the figures of the whole database."""
    if closing.problems:
        print(f"{closing.day}: 清分失败,未发布 | FAILED, nothing published")
        for problem in closing.problems:
            print(f"  {problem}")
    else:
        print(f"{closing.day}: 清分完成 | cleared, {closing.new_records} 笔新增 new records")
    print_summary(figures)


def print_summary(figures: dict[str, Any]) -> None:
    _print_table(
        ("运营单位 operator", "发卡机构 issuer", "笔数 count", "金额 amount", "手续费 fee", "净额 net"),
        [
            (
                f"{line['operator_zh']} {line['operator_en']}",
                f"{line['issuer_zh']} {line['issuer_en']}" + (" [测试 test]" if line["test"] else ""),
                str(line["count"]),
                yuan(line["amount_fen"]),
                yuan(line["fee_fen"]),
                yuan(line["net_fen"]),
            )
            for line in figures["lines"]
        ],
        left=2,
    )
    _print_table(
        ("机构 organisation", "轧差 net position"),
        [(org, yuan(fen)) for org, fen in figures["nets_fen"].items()],
        left=1,
    )
    _print_table(
        ("状态 state", "笔数 count", "金额 amount"),
        [(name, str(state["count"]), yuan(state["amount_fen"])) for name, state in sorted(figures["states"].items())],
        left=1,
    )
    print(
        f"已清分 cleared {yuan(figures['cleared_fen'])}  未结 open {yuan(figures['open_fen'])}  "
        f"作废 void {yuan(figures['void_fen'])}  (元 yuan)"
    )
    if figures["anomalies"]:
        print("异常 anomalies: " + ", ".join(f"{code} {n}" for code, n in figures["anomalies"].items()))
    if figures["output_digest"]:
        print(f"摘要 digest {figures['output_digest']}")


def _print_table(head: tuple[str, ...], rows: list[tuple[str, ...]], left: int) -> None:
    """Columns as wide as their widest cell; the first `left` are text, the others figures."""
    if not rows:
        return
    widths = [max(_width(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = []
        for i, cell in enumerate(row):
            gap = " " * (widths[i] - _width(cell))
            cells.append(cell + gap if i < left else gap + cell)
        print("  ".join(cells).rstrip())
    print()


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
