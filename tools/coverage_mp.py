"""Line coverage of the firmware by its own tests, measured in MicroPython. `python -m tools.coverage_mp [--json]`

Counts statements: one is covered if a traced line falls on its own lines (a compound statement's own lines end where
its body begins). Left out are statements that leave no bytecode in MicroPython or cannot be traced there.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tools.interpreters import TIMEOUT_S, test_modules
from tools.paths import FIRMWARE, MICROPYPATH, MICROPYTHON_TOOLS, ROOT, SETTRACE, require

HEAP = "256m"       # the trace itself lives on the heap
COVERED = ("tunion", "validator")
NO_BYTECODE = (ast.Pass, ast.Global, ast.Nonlocal, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.coverage_mp", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object for a program to read")
    args = parser.parse_args()

    hit, failed = run_traced(test_modules())
    report = {
        str(path.relative_to(ROOT)): cover(path, hit.get(path, set()))
        for folder in COVERED
        for path in sorted((FIRMWARE / folder).rglob("*.py"))
    }
    if args.json:
        print(json.dumps({"files": report, "failed": failed}))
    else:
        print_report(report)
    for module in failed:
        print(f"coverage: {module} failed under this build; its lines are counted as far as it came", file=sys.stderr)
    return 0


def run_traced(modules: list[Path]) -> tuple[dict[Path, set[int]], list[str]]:
    """Run each test module in the sys.settrace build.

    returns  (file -> lines that ran, modules whose tests failed); this build has no TLS, so some may
    """
    interpreter = require(SETTRACE / "micropython", "make soak")
    environment = {**os.environ, "MICROPYPATH": f"{MICROPYPATH}:{SETTRACE / 'extmod'}"}
    hit: dict[Path, set[int]] = defaultdict(set)

    def run(module: Path) -> tuple[list[str], bool]:
        with tempfile.NamedTemporaryFile("r", suffix=".lines") as lines:
            done = subprocess.run(
                [interpreter, "-X", f"heapsize={HEAP}", MICROPYTHON_TOOLS / "trace_tests.py",
                 module.stem, FIRMWARE, lines.name],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10 * TIMEOUT_S,
            )
            return lines.read().splitlines(), done.returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(run, modules))
    for lines, _ in results:
        for line in lines:
            name, number = line.rsplit(":", 1)
            hit[Path(name)].add(int(number))
    return hit, [module.stem for module, (_, passed) in zip(modules, results, strict=True) if not passed]


def cover(path: Path, hit: set[int]) -> dict[str, object]:
    """Statements of one file, how many ran, and the first lines of those that did not."""
    spans = list(statements(ast.parse(path.read_text())))
    missed = [first for first, last in spans if hit.isdisjoint(range(first, last + 1))]
    return {"statements": len(spans), "hit": len(spans) - len(missed), "missed": missed}


def statements(node: ast.AST) -> Iterator[tuple[int, int]]:
    """(first line, last own line) of each statement that MicroPython can be seen to execute."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            if isinstance(child, (ast.ExceptHandler, ast.match_case)):
                yield from statements(child)
            continue
        if _is_native(child):
            continue
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            yield from statements(ast.Module(child.orelse, []))
            continue
        if not (isinstance(child, NO_BYTECODE) or _is_docstring(child) or _is_folded(child)):
            body = getattr(child, "body", None)
            last = body[0].lineno - 1 if body else child.end_lineno or child.lineno
            yield child.lineno, max(child.lineno, last)
        yield from statements(child)


def _is_native(node: ast.stmt) -> bool:
    """A viper or native function: it runs as machine code and is not traced."""
    return any(
        getattr(decorator, "attr", "") in ("viper", "native") for decorator in getattr(node, "decorator_list", [])
    )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_folded(node: ast.stmt) -> bool:
    """`_NAME = const(...)` and bare annotations: the compiler keeps neither."""
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return True
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const"


def print_report(report: dict[str, dict[str, Any]]) -> None:
    width = max(map(len, report), default=0)
    for path, file in report.items():
        missed = ", ".join(map(str, file["missed"][:12])) + (" ..." if len(file["missed"]) > 12 else "")
        print(f"{path:<{width}} {file['hit']:>5} of {file['statements']:<5} {_percent(file):>4}  {missed}".rstrip())
    total = {key: sum(file[key] for file in report.values()) for key in ("hit", "statements")}
    print(f"{'total':<{width}} {total['hit']:>5} of {total['statements']:<5} {_percent(total):>4}")


def _percent(counts: dict[str, int]) -> str:
    return f"{100 * counts['hit'] // counts['statements']}%" if counts["statements"] else "-"


if __name__ == "__main__":
    sys.exit(main())
