"""Who may import whom, and what MicroPython would refuse or, worse, silently do otherwise. `python -m tools.guard`

Imports point one way: tunion <- validator <- simulator <- hil_tests; tunion <- backoffice; tools reads all. What a
compiler sees (a match statement, [*a, b]) is left to mpy-cross unless its own words would not help.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tools.paths import ROOT

OURS = {"tunion", "validator", "boards", "simulator", "backoffice", "hil_tests", "tools"}

FOLDERS = ("firmware", "simulator", "backoffice", "hil_tests", "tools")

# Folder -> packages of ours it may import. The longest matching folder counts.
MAY_IMPORT = {
    "firmware/tunion":      {"tunion"},
    "firmware/validator":   {"tunion", "validator"},
    "firmware/boards":      {"tunion", "validator", "boards"},
    "firmware/tests":       {"tunion", "validator", "boards"},
    "firmware/tests/props": {"tunion", "validator", "boards", "simulator"},
    "simulator":            {"tunion", "validator", "simulator"},
    "simulator/rig":        {"tunion", "validator", "simulator", "backoffice"},
    "simulator/tests":      {"tunion", "validator", "simulator", "backoffice"},
    "backoffice":           {"tunion", "backoffice"},
    "hil_tests":            {"tunion", "validator", "simulator", "hil_tests"},
    "tools":                OURS,
}

HARDWARE = {"machine", "network", "ffi", "uctypes", "smartcard", "serial"}
OUTSIDE_WORLD = {"asyncio", "io", "os", "random", "select", "socket", "ssl", "time", "tls"}

# Runs under MicroPython. Property tests and the desk board are CPython's.
MICROPYTHON_FOLDERS = ("firmware",)
CPYTHON_FOLDERS = ("firmware/tests/props", "firmware/boards/desk", "firmware/stubs")
MODULES_MISSING = {
    "__future__", "abc", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "functools", "hmac",
    "itertools", "logging", "pathlib", "queue", "secrets", "string", "subprocess", "tempfile", "threading", "typing",
}
METHODS_MISSING = {"bit_count", "bit_length", "isidentifier", "removeprefix", "removesuffix"}

STRING_LITERAL = re.compile(r"""([a-zA-Z]*)(\"{3}|'{3}|"|')((?:\\.|(?!\2).)*)\2""", re.DOTALL)


class Finding(NamedTuple):
    path: PurePosixPath
    line: int
    rule: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.cure}"


def check(path: PurePosixPath, source: str) -> list[Finding]:
    """Findings in one file.

    path    relative to the repository: it decides which rules hold
    raises  SyntaxError if the file is no Python
    """
    tree = ast.parse(source, str(path))
    rules = [directions, swallowed]
    if "tests" in path.parts:
        rules.append(naps)
    if _below(path, MICROPYTHON_FOLDERS) and not _below(path, CPYTHON_FOLDERS):
        rules += [dialect, lambda path, tree: joined_strings(path, tree, source)]
    if _below(path, ("firmware/tunion",)):
        rules.append(purity)
    return sorted(finding for rule in rules for finding in rule(path, tree))


def directions(path: PurePosixPath, tree: ast.Module) -> Iterator[Finding]:
    folders = [folder for folder in MAY_IMPORT if path.is_relative_to(folder)]
    may_import = MAY_IMPORT[max(folders, key=len)] if folders else OURS
    for line, name in imports(tree):
        if name in OURS - may_import:
            yield Finding(path, line, "direction",
                          f"{name} is out of reach here; move what both need down, or pass it in as a port")
        if name in HARDWARE and not path.is_relative_to("firmware/boards"):
            yield Finding(path, line, "hardware", f"only firmware/boards imports {name}; take a port instead")


def dialect(path: PurePosixPath, tree: ast.Module) -> Iterator[Finding]:
    for line, name in imports(tree, runtime_only=True):
        if name in MODULES_MISSING:
            yield Finding(path, line, "dialect",
                          f"MicroPython has no {name}; for annotations import it under `if TYPE_CHECKING:`")
    for node in ast.walk(tree):
        if isinstance(node, ast.Match):
            yield Finding(path, node.lineno, "dialect", "MicroPython has no match; use a table or if")
        if isinstance(node, ast.Raise) and node.cause is not None:
            yield Finding(path, node.lineno, "dialect", "MicroPython drops `from`; name the cause in the message")
        if isinstance(node, ast.Attribute) and node.attr in METHODS_MISSING:
            yield Finding(path, node.lineno, "dialect", f"MicroPython has no .{node.attr}(); write it out")


def joined_strings(path: PurePosixPath, tree: ast.Module, source: str) -> Iterator[Finding]:
    """An f-string beside a plain one with braces compiles, then MicroPython formats the braces as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces = STRING_LITERAL.findall(ast.get_source_segment(source, node) or "")
            if any("f" not in prefix.lower() and re.search("[{}]", text) for prefix, _, text in pieces):
                yield Finding(path, node.lineno, "dialect",
                              "MicroPython formats the braces of the plain literal too; make one string of them")


def purity(path: PurePosixPath, tree: ast.Module) -> Iterator[Finding]:
    for line, name in imports(tree, runtime_only=True):
        if name in OUTSIDE_WORLD:
            yield Finding(path, line, "purity", f"tunion touches no pin, socket, file or clock; leave {name} to a port")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield Finding(path, node.lineno, "float", "money and time are whole numbers here; use fen, ms, permille")
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            yield Finding(path, node.lineno, "float", "/ gives a float; use // and say who keeps the remainder")


def swallowed(path: PurePosixPath, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or _name(node.type) in ("Exception", "BaseException")
            if broad and all(_does_nothing(statement) for statement in node.body):
                yield Finding(path, node.lineno, "swallow", "catch the error you expect and act on it, or let it out")


def naps(path: PurePosixPath, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in ("sleep", "sleep_ms") and node.args:
            if isinstance(node.args[0], ast.Constant):
                yield Finding(path, node.lineno, "nap", "wait for the event itself, or move the test's own clock")


def imports(tree: ast.AST, runtime_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of each absolute import.

    runtime_only  leave out what a device never executes: `if TYPE_CHECKING:` and try blocks that expect ImportError
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        elif runtime_only and isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            for statement in node.orelse:
                yield from imports(ast.Module([statement], []), runtime_only)
        elif runtime_only and isinstance(node, ast.Try) and _expects_import_error(node):
            for statement in node.orelse + node.finalbody:
                yield from imports(ast.Module([statement], []), runtime_only)
        else:
            yield from imports(node, runtime_only)


def _expects_import_error(node: ast.Try) -> bool:
    return any(handler.type is not None and _name(handler.type) == "ImportError" for handler in node.handlers)


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _name(node: ast.AST) -> str:
    """The last word of `name` or `module.name`."""
    return getattr(node, "id", getattr(node, "attr", ""))


def _below(path: PurePosixPath, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def check_repository(root: Path = ROOT) -> list[Finding]:
    """Findings in every Python file of our folders."""
    paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return [finding for path in paths for finding in check(PurePosixPath(path.relative_to(root)), path.read_text())]


def main() -> int:
    findings = check_repository()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
