"""The demo, run once for all tests that look at what it left: its files, its books, and all that was said."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from simulator.rig.demo import Demo
from simulator.rig.keyroom import VAULT
from simulator.rig.window import Window
from simulator.tests.on_micropython import FIRMWARE, UNIX

SEED = 20251
OVERHEARD = b"whoever inherits 1 and 2 is overheard"


class Ended(NamedTuple):
    """A demo that was run in `folder`. `said`: by whom, and what: also what a terminal would have shown."""

    demo: Demo
    figures: dict[str, Any]
    folder: Path
    said: dict[str, bytes]


def run_demo(folders: pytest.TempPathFactory, keys: str = VAULT) -> Ended:
    """Once in a run of pytest, which has one base of folders."""
    return _run(folders.getbasetemp() / f"demo-{keys}", keys)


@functools.cache
def _run(folder: Path, keys: str) -> Ended:
    folder.mkdir()
    said: dict[str, bytes] = {}

    def heard(name: str, text: object) -> None:
        said[name] = said.get(name, b"") + f"{text}\n".encode()

    demo = Demo(
        folder / "demo", [UNIX[0], "-X", "heapsize=1m"], f"{FIRMWARE}:.frozen", SEED,
        lambda zh, en: heard("the demo", f"{zh} {en}"), lambda name, line: heard(name, line), keys,
    )  # fmt: skip
    with _overheard(heard), _descriptors(folder / "descriptors"):
        figures = demo.run()
    heard("the demo", figures)
    said["stdout and stderr of all"] = (folder / "descriptors").read_bytes()
    return Ended(demo, figures, folder / "demo", said)


@contextmanager
def _overheard(heard: Any) -> Iterator[None]:
    """What each command of a clerk printed, and what it refused with."""
    at_window, as_process = Window.run, subprocess.run

    def run_at_window(window: Window, *argv: object, **more: Any) -> str:
        name, other = " ".join(map(str, ("ykt", *argv[:2]))), more.pop("heard", None)

        def line_heard(line: str) -> None:
            heard(name, line)
            if other is not None:
                other(line)

        text = at_window(window, *argv, heard=line_heard, **more)
        heard(name, text)
        return text

    def run_as_process(argv: Any, **more: Any) -> Any:
        done = as_process(argv, **more)
        heard(" ".join(map(str, argv[1:5])), f"{done.stdout}{done.stderr}")
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Window, "run", run_at_window)
        patch.setattr(subprocess, "run", run_as_process)
        yield


@contextmanager
def _descriptors(path: Path) -> Iterator[None]:
    """Into a file what this process and its children write to 1 and 2."""
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            words = f"import os; os.write(1, {OVERHEARD[:19]}); os.write(2, {OVERHEARD[19:]})"
            subprocess.run([sys.executable, "-c", words], check=True)
            yield
        finally:
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
