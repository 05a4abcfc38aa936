"""The command line's promises: quick help, exit codes a program can rely on."""

import json
import os
import subprocess
import sys

import pytest

from tools import cli
from tools.paths import BUILD, NotSetUp, require


def ykt(*arguments):
    return subprocess.run([sys.executable, "-m", "tools.cli", *arguments], capture_output=True, text=True)


def test_help_names_every_command_and_imports_none():
    probe = "import sys, tools.cli\ntry: tools.cli.main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    words = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout

    for module, _ in cli.COMMANDS.values():
        assert module not in words.split()
    assert "firmware" in words


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("firmware",), ("firmware", "build", "--arch", "z80")])
def test_wrong_usage_is_2_and_says_what_is_right(arguments):
    done = ykt(*arguments)
    assert done.returncode == 2
    assert "usage: ykt" in done.stderr


def test_sizes_are_those_of_the_files():
    done = ykt("firmware", "sizes", "--arch", "armv6m", "--json")
    assert done.returncode == 0, done.stderr

    answer = json.loads(done.stdout)

    folder = BUILD / "firmware" / "armv6m"
    assert answer["modules"]["armv6m"] == {
        str(path.relative_to(folder).with_suffix("")): path.stat().st_size for path in folder.rglob("*.mpy")
    }
    assert answer["total"]["armv6m"] == sum(answer["modules"]["armv6m"].values()) > 0


def test_ctrl_c_is_one_line_and_130():
    probe = "import os, signal, sys, tools.firmware as f, tools.cli\n" \
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n" \
            "f.run = lambda args: os.kill(os.getpid(), signal.SIGINT)\n" \
            "sys.exit(tools.cli.main(['firmware', 'build']))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "ykt firmware: interrupted\n"


def test_output_cut_off_by_head_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "tools.cli", "firmware", "sizes", "--arch", "x64"],
                          stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_names_its_cure(tmp_path):
    with pytest.raises(NotSetUp, match="absent is missing: run `make setup` first"):
        require(tmp_path / "absent")
