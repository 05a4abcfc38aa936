"""A journal's image in words, 中文 and English."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tools import event_text
from tools.journal_image import OUTCOMES, Entry, Finding, Image, Sector, is_sound
from tunion import bcd
from tunion.money import yuan

# state of a sector -> words
STATES = {
    "newest": ("正在写入", "the newest, written to"),
    "in_use": ("使用中，有待上传", "in use, holds entries to be sent"),
    "drained": ("已全部确认，可擦除", "history, everything acknowledged, may be erased"),
    "ready": ("已擦除，备用", "erased and ready"),
    "blank": ("空白", "blank"),
    "zeros": ("全零", "all zero"),
    "retired": ("已磨损，停用", "worn, retired"),
    "erasing": ("擦除时掉电，轮到时再擦除", "an erase was cut short, or is due; erased when its turn comes"),
    "spoilt": ("扇区头损坏", "spoilt: its header is damaged"),
    "foreign": ("非日志内容", "not a journal's"),
    "other_layout": ("其他版本的日志", "a journal of another layout"),
    "other_journal": ("另一份日志", "another journal's"),
    "params_bank": ("参数区", "a parameter bank"),
    "params_pointer": ("参数指针", "the parameter banks' pointer"),
}

# finding -> (something is broken, 中文, English): what was found, what to do
FINDINGS = {
    "blank": (False, "空白闪存：开机时新建日志", "blank flash: a validator begins a journal here"),
    "no_journal": (True, "没有找到日志：请核对文件；确为日志区时先保存镜像，再擦除",
                   "no journal found: check that this is the right file; if it is, keep it, then erase the flash"),
    "cut_off": (True, "文件不完整，{found} 字节，应为 {wanted}：请重新读取镜像",
                "the file is cut off, {found} bytes of {wanted}: read the image again"),
    "too_long": (True, "文件过长，{found} 字节，应为 {wanted}：请只读取日志区，或指定 --sector-bytes",
                 "the file is too long, {found} bytes for {wanted}: read the journal's area only, or name"
                 " --sector-bytes"),
    "two_journals": (True, "另一份日志 {epoch}：保存镜像交后台，再擦除闪存",
                     "another journal, {epoch}: keep the image for the back office, then erase the flash"),
    "out_of_order": (True, "顺序错误，第 {generation} 代：请核对 --sector-bytes；否则保存镜像交后台，再擦除",
                     "out of order, generation {generation}: check --sector-bytes; else keep the image, then erase"),
    "other_layout": (True, "日志版本 {found}，本工具读版本 {known}：用写入它的版本读取",
                     "journal layout {found}, this tool reads {known}: use the release that wrote it"),
    "worn": (False, "已磨损停用：停用较多时更换设备", "worn and retired: replace the device when there are many"),
    "zeros": (True, "全部为零：请重新读取镜像；仍为零则更换闪存",
              "all zero: read the image again; if it stays so, replace the flash"),
    "foreign": (True, "不是日志内容：请核对文件和区域", "not a journal's bytes: check file and area"),
    "params_bank": (True, "这是参数区，不是日志：请换一个镜像", "parameters, not a journal: name the journal's image"),
    "params_pointer": (True, "这是参数指针，不是日志：请换一个镜像",
                       "the parameters' pointer, not a journal: name the journal's image"),
    "header_lost": (True, "扇区头丢失，{unsent} 条未确认记录无法证明归属：保存镜像交后台",
                    "its header is lost; {unsent} entries that were never acknowledged cannot be proven to be this "
                    "journal's: keep the image for the back office"),
    "rotted": (True, "{slots} 条曾经完整的记录已损坏，不能恢复：保存镜像，以卡内记录核对",
               "{slots} entries that were whole once are damaged and cannot be proven: keep the image; the cards' own "
               "logs may tell"),
    "missing": (True, "缺少序号 {first} 至 {last}：后台将报告缺号，以卡内记录核对",
                "sequence {first} to {last} is missing: the back office will report the gap; the cards' own logs may "
                "tell"),
    "twice": (True, "序号 {seq} 重复：保存镜像交后台",
              "sequence {seq} is there twice: keep the image for the back office"),
}  # fmt: skip

_KINDS = {"tap": ("刷卡", "tap"), "event": ("事件", "event"), "amend": ("补记", "amend")}
_ENTRY_STATES = {
    "acked": ("已确认", "acked"),
    "rejected": ("被拒收", "rejected"),
    "drained": ("已放行", "let go"),
    "waiting": ("待上传", "waiting"),
    "open": ("未完成", "open"),
}
_OUTCOMES = {
    "settled": ("已扣款", "settled"),
    "proved": ("已证实", "proved"),
    "void": ("未扣款", "void"),
    "disputed": ("有争议", "disputed"),
    "grey": ("灰记录", "grey"),
    "unknown": ("结果未知", "no outcome"),
}


def lines(image: Image, sector: int | None, waiting: bool) -> Iterator[str]:
    """The whole explanation; of one sector; or of what waits only."""
    yield from _head(image)
    for numbers, state in _ranges(image.sectors, sector):
        chinese, english = STATES[state]
        yield f"扇区 sector {numbers}: {chinese} | {english}"
        if "–" in numbers or waiting:
            continue
        yield from _sector(image.sectors[int(numbers)])
    if waiting:
        for entry in image.entries():
            if entry.state in ("waiting", "open") and sector in (None, entry.sector):
                yield _entry(entry)
    yield from _findings(image.findings, sector)
    yield _verdict(image)


def is_broken(image: Image) -> bool:
    """Something was found that a validator does not leave behind, nor a power cut."""
    return any(FINDINGS[finding.code][0] for finding in image.findings)


def as_object(image: Image, sector: int | None, waiting: bool) -> dict[str, Any]:
    """What --json prints."""
    return {
        "bytes": image.bytes,
        "sector_bytes": image.geometry.sector_bytes,
        "sectors": image.geometry.sectors,
        "geometry_from": image.geometry.told_by,
        "epoch": image.epoch,
        "broken": is_broken(image),
        "findings": [
            {"code": each.code, "sector": each.sector, **each.details, "broken": FINDINGS[each.code][0],
             "zh": _words(each)[0], "en": _words(each)[1]}
            for each in image.findings
        ],
        "sector_list": [
            {
                "sector": each.number, "state": each.state, "epoch": each.epoch, "generation": each.generation,
                "first_seq": each.first_seq, "erases": each.erases, "torn_slots": each.torn,
                "rotted_slots": each.rotted, "retired_slots": each.retired,
                "entries": [
                    _entry_object(entry) for entry in each.entries if not waiting or entry.state in ("waiting", "open")
                ],
            }
            for each in image.sectors
            if sector in (None, each.number)
        ],
    }  # fmt: skip


def _head(image: Image) -> Iterator[str]:
    geometry = image.geometry
    told_by = {
        "option": ("按选项", "as told"),
        "header": ("据扇区头", "found in the headers"),
        "nothing": ("假定", "assumed: nothing in the image tells"),
    }[geometry.told_by]
    yield (f"{image.bytes} 字节 bytes, {geometry.sectors} 扇区 sectors × {geometry.sector_bytes} "
           f"({told_by[0]} | {told_by[1]})")  # fmt: skip
    if image.epoch is not None:
        counts = {state: 0 for state in _ENTRY_STATES}
        for entry in image.entries():
            counts[entry.state] += 1
        said = ", ".join(f"{_both(_ENTRY_STATES[state])} {count}" for state, count in counts.items() if count)
        yield f"日志 journal {image.epoch:08X}: {said or '没有记录 no entries'}"


def _ranges(sectors: list[Sector], only: int | None) -> Iterator[tuple[str, str]]:
    """Sectors in a row that hold nothing and are alike become one line."""
    for key, group in groupby(sectors, key=lambda each: (each.state, each.number if _has_more(each) else -1)):
        numbers = [each.number for each in group if only in (None, each.number)]
        if numbers:
            yield (f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])), key[0]


def _has_more(each: Sector) -> bool:
    return bool(each.generation is not None or each.entries or each.torn or each.rotted or each.retired)


def _sector(each: Sector) -> Iterator[str]:
    facts = []
    if each.generation is not None:
        facts.append(f"第几代 generation {each.generation}, 首个序号 first seq {each.first_seq}")
    if each.erases is not None:
        facts.append(f"擦除次数 erases {each.erases}")
    if facts:
        yield "  " + ", ".join(facts)
    for entry in each.entries:
        yield _entry(entry)
    for slots, words in (
        (each.torn, "掉电写断，未曾生效 | torn by a power cut, never in force"),
        (each.rotted, "已损坏，不能证明 | damaged, cannot be proven"),
        (each.retired, "停用 | retired"),
    ):
        if slots:
            yield f"  槽 slots {', '.join(map(str, slots))}: {words}"


def _entry(entry: Entry) -> str:
    body = entry.body
    words = [f"  #{body.seq}", _both(_KINDS[entry.kind]), _time(body), _both(_ENTRY_STATES[entry.state])]
    if entry.kind == "tap":
        words += [_both(_OUTCOMES[_outcome(entry)]), f"{yuan(body.amount_fen)} 元", f"卡 card {entry.card or '-'}"]
        if entry.amended:
            words.append("见补记 amended")
    elif entry.kind == "amend":
        words += [f"#{body.of_seq}", _both(_OUTCOMES[_outcome(entry)])]
    else:
        words += map(_both, event_text.words(body._asdict()))
        words.append(f"值 value {body.value}")
        if entry.card:
            words.append(f"卡 card {entry.card}")
    if entry.half:
        words.append(f"标记未写完 mark half set: {', '.join(entry.half)}")
    if not is_sound(body, entry.outcome):
        words.append("内容不合规 no validator writes this")
    return "  ".join(words)


def _entry_object(entry: Entry) -> dict[str, Any]:
    body = entry.body
    found: dict[str, Any] = {
        "slot": entry.slot, "seq": body.seq, "kind": entry.kind, "state": entry.state, "at_s": body.at_s,
        "clk_q": body.clk_q, "card": entry.card, "half_set": list(entry.half), "sound": is_sound(body, entry.outcome),
    }  # fmt: skip
    if entry.kind == "tap":
        found |= {"outcome": _outcome(entry), "amended": entry.amended, "amount_fen": body.amount_fen}
    elif entry.kind == "amend":
        found |= {"outcome": _outcome(entry), "of_seq": body.of_seq}
    else:
        found |= {"code": body.code, "reason": body.reason, "value": body.value}
    return found


def _outcome(entry: Entry) -> str:
    return "unknown" if entry.outcome is None else OUTCOMES.get(entry.outcome.code, "unknown")


def _time(body: Any) -> str:
    digits = bcd.to_digits(bcd.stamp(body.at_s))
    doubt = "" if body.clk_q >= 2 else " (时钟未校准 clock not set)"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}{doubt}"


def _findings(findings: list[Finding], sector: int | None) -> Iterator[str]:
    """Each once; sectors with the same finding in one line."""
    chosen = [each for each in findings if sector is None or each.sector in (None, sector)]
    together: dict[tuple[str, str], list[int]] = {}
    for each in chosen:
        numbers = together.setdefault(_words(each), [])
        if each.sector is not None:
            numbers.append(each.sector)
    for (chinese, english), numbers in together.items():
        where = ""
        if numbers:
            some = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
            where = f"扇区 sector {some}: "
        yield f"! {where}{chinese} | {english}"


def _words(finding: Finding) -> tuple[str, str]:
    _, chinese, english = FINDINGS[finding.code]
    return chinese.format(**finding.details), english.format(**finding.details)


def _verdict(image: Image) -> str:
    if is_broken(image):
        return "发现问题，见上 | something is wrong: see above"
    waiting = sum(entry.state in ("waiting", "open") for entry in image.entries())
    if waiting:
        return f"完好；{waiting} 条待上传，联网后自动上传 | sound; {waiting} entries wait and are sent when online"
    return "完好 | sound"


def _both(words: tuple[str, str]) -> str:
    return " ".join(words)
