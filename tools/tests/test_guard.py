"""Each rule fires on what it forbids and stays silent on the nearest thing that is allowed."""

from pathlib import PurePosixPath

import pytest

from tools.guard import check, check_repository

GUARDED = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Protocol\n"
EXPECTED = "try:\n    import hmac\nexcept ImportError:\n    hmac = None\n"

FORBIDDEN = [
    ("firmware/tunion/a.py", "from validator import tap", "direction"),
    ("firmware/validator/a.py", "import boards.unix", "direction"),
    ("firmware/validator/a.py", "import simulator", "direction"),
    ("simulator/card.py", "import backoffice.intake", "direction"),
    ("backoffice/clearing/a.py", "from validator import journal", "direction"),
    ("backoffice/a.py", "def f():\n    import simulator", "direction"),
    ("firmware/tunion/a.py", "if TYPE_CHECKING:\n    import validator", "direction"),
    ("firmware/validator/drivers/a.py", "import ffi", "hardware"),
    ("simulator/a.py", "from smartcard.System import readers", "hardware"),
    ("firmware/validator/drivers/a.py", "import serial", "hardware"),
    ("firmware/validator/a.py", "import dataclasses", "dialect"),
    ("firmware/tunion/a.py", "from __future__ import annotations", "dialect"),
    ("firmware/boards/unix/main.py", "from typing import Protocol", "dialect"),
    ("firmware/tests/test_a.py", "import enum", "dialect"),
    ("firmware/tunion/a.py", "match x:\n    case 1:\n        y = 2", "dialect"),
    ("firmware/validator/a.py", "try:\n    f()\nexcept KeyError as e:\n    raise ValueError from e", "dialect"),
    ("firmware/tunion/a.py", "n.bit_length()", "dialect"),
    ("firmware/tunion/a.py", "s = f'{x}' '{}'", "dialect"),
    ("firmware/tunion/a.py", "import time", "purity"),
    ("firmware/tunion/a.py", "x = 0.5", "float"),
    ("firmware/tunion/a.py", "x = y / 2", "float"),
    ("firmware/tunion/a.py", "x /= 2", "float"),
    ("tools/a.py", "try:\n    f()\nexcept Exception:\n    pass", "swallow"),
    ("backoffice/a.py", "try:\n    f()\nexcept:\n    ...", "swallow"),
    ("simulator/tests/test_a.py", "import time\ntime.sleep(0.1)", "nap"),
    ("firmware/tests/test_a.py", "sleep_ms(50)", "nap"),
]

ALLOWED = [
    ("firmware/validator/a.py", "from tunion import money"),
    ("firmware/tunion/a.py", "from . import money"),
    ("simulator/rig/a.py", "import backoffice, validator.app"),
    ("tools/demo.py", "import backoffice, simulator, validator"),
    ("firmware/boards/unix/main.py", "import ffi"),
    ("firmware/boards/desk/serial.py", "import serial"),
    ("firmware/tunion/a.py", GUARDED),
    ("firmware/tunion/a.py", EXPECTED),
    ("firmware/tests/props/test_a.py", "import dataclasses"),
    ("backoffice/a.py", "import dataclasses\nx = 0.5"),
    ("firmware/tunion/a.py", "s = f'{x}' 'plain'"),
    ("firmware/tunion/a.py", "s = '{}'.format(x)"),
    ("firmware/validator/a.py", "x = 0.5"),
    ("tools/a.py", "try:\n    f()\nexcept FileNotFoundError:\n    pass"),
    ("simulator/tests/test_a.py", "clock.sleep(wait_s)"),
    ("simulator/a.py", "time.sleep(0.1)"),
]


@pytest.mark.parametrize(("path", "source", "rule"), FORBIDDEN)
def test_rule_fires(path, source, rule):
    assert [finding.rule for finding in check(PurePosixPath(path), source)] == [rule]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_rule_stays_silent(path, source):
    assert check(PurePosixPath(path), source) == []


def test_a_finding_names_place_rule_and_cure():
    [finding] = check(PurePosixPath("firmware/tunion/a.py"), "\nimport socket\n")
    assert str(finding) == (
        "firmware/tunion/a.py:2: purity: tunion touches no pin, socket, file or clock; leave socket to a port"
    )


def test_this_repository_is_clean():
    assert [str(finding) for finding in check_repository()] == []
