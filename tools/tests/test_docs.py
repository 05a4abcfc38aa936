"""The pages say what is there: links lead somewhere, commands exist, layout tables are those of the code."""

import contextlib
import io
import re
import shlex

import pytest

from backoffice.keys import ceremony_file
from backoffice.keys.service import TAC_ROW
from tools.cli import main
from tools.paths import ROOT
from tunion.fare import grid, kept
from tunion.record import Record
from tunion.wire import soft_sam, tap
from validator import crash, duty
from validator.drivers import keep_nor

PAGES = [*ROOT.glob("*.md"), *(page for folder in ("firmware", "backoffice", "simulator", "tools")
                               for page in sorted((ROOT / folder).glob("docs/*.md")))]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

LINK = re.compile(r"\]\(([^)#:]+)\)")
FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|json|toml|sh|svg))`")
COMMAND = re.compile(r"(?:^|[`\s/])ykt ((?:[a-z-]+ )*[a-z-]+)([^`\n|&]*)", re.MULTILINE)
CODE_NAMES = re.compile(r"\b(?:firmware|backoffice|simulator|tools)/docs/\w+\.md")
ROW = re.compile(r"^\| (?P<offset>\d+) \| (?P<widths>[\d ]+) \| (?P<names>[\w, ]+?) \|", re.MULTILINE)

COMMON = 5      # the fields that all entries begin with; wire.md shows them once, before the kinds

# page, words above the table of offsets, the record, which of its fields the table shows
LAYOUTS = [
    ("firmware/docs/wire.md", "## An entry", tap.TAP_V1, slice(COMMON)),
    ("firmware/docs/wire.md", "## An entry", tap.EVENT_V1, slice(COMMON)),
    ("firmware/docs/wire.md", "## An entry", tap.AMEND_V1, slice(COMMON)),
    ("firmware/docs/wire.md", "**Tap**", tap.TAP_V1, slice(COMMON, None)),
    ("firmware/docs/fares.md", "## A grid", grid.HEAD, slice(None)),
    ("firmware/docs/fares.md", "## What a card keeps", kept.KEPT, slice(None)),
    ("firmware/docs/duty.md", "## What is kept", duty.KEPT, slice(None)),
    ("firmware/docs/soft_sam.md", "## Every byte", soft_sam.HEAD, slice(None)),
    ("firmware/docs/supervisor.md", "### The black box", crash.BOX, slice(None)),
    ("firmware/docs/supervisor.md", "### A Keep on raw flash", keep_nor.HEAD, slice(None)),
    ("backoffice/docs/ceremony.md", "### Head", ceremony_file.HEAD, slice(None)),
    ("backoffice/docs/tac.md", "## A row", TAC_ROW, slice(None)),
]


@EACH_PAGE
def test_links_and_named_files_exist(page):
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    component = page.parent.parent
    places = [ROOT, ROOT / "firmware", page.parent, component, *(each for each in component.iterdir() if each.is_dir())]
    missing += [name for name in FILE.findall(text) if not any((place / name).exists() for place in places)]
    assert missing == []


@EACH_PAGE
def test_commands_and_their_options_exist(page):
    for words, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
        known = help_of(words.split())
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"ykt {words} has no {option}"


def help_of(words):
    """Help of the longest part of `words` that is a command; the first word must be one."""
    for count in range(len(words), 0, -1):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
            with pytest.raises(SystemExit) as ended:
                main([*words[:count], "--help"])
        if ended.value.code == 0:
            return shown.getvalue()
    raise AssertionError(f"no command: ykt {shlex.join(words)}")


@pytest.mark.parametrize(("page", "above", "record", "which"), LAYOUTS)
def test_a_layout_table_is_the_record_of_the_code(page, above, record, which):
    assert shown((ROOT / page).read_text(encoding="utf-8"), above) == declared(record)[which]


def shown(text: str, above: str) -> list[tuple[int, int, str]]:
    """(offset, bytes, field) of the first table after `above`. A row may hold several fields."""
    table = text.partition(above)[2]
    table = table[table.index("\n|"):].partition("\n\n")[0]
    fields = []
    for row in ROW.finditer(table):
        offset, names = int(row["offset"]), row["names"].split(", ")
        for width, name in zip(map(int, row["widths"].split()), names, strict=True):
            fields.append((offset, width, name))
            offset += width
    return fields


def declared(record: Record) -> list[tuple[int, int, str]]:
    """(offset, bytes, field) of each row."""
    return [(offset, width, name) for name, _, offset, width in record.fields]


def test_pages_that_the_code_names_exist():
    named = {name for folder in ("firmware", "backoffice", "simulator", "tools")
             for path in (ROOT / folder).rglob("*.py") for name in CODE_NAMES.findall(path.read_text(encoding="utf-8"))}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
