"""The `ykt` command.

A command is a module with `configure(parser)`, which declares its arguments, and `run(args) -> int`. Only the
module of the command that was asked for is imported.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted.
"""

import argparse
import errno
import importlib
import os
import signal
import sys

from tools.paths import NotSetUp

COMMANDS = {
    "demo":       ("tools.demo",       "整套系统在一台机器上跑一遍 | the whole system on one machine, with real parts"),
    "rig":        ("tools.rig",        "各种交通方式的场景 | scenarios of every mode on real parts"),
    "card":       ("tools.card",       "模拟卡、空白卡，读卡 | simulated cards and blanks; any card in words"),
    "backoffice": ("tools.backoffice", "后台:接收、清分、导出 | serve, clear and export"),
    "cards":      ("tools.cards",      "制卡、发卡、充值、换卡 | make, issue, load, replace and refund cards"),
    "fleet":      ("tools.fleet",      "车载机参数与名单 | parameter sets and lists: build, approve, publish"),
    "keys":       ("tools.keys",       "密钥:建立、分散、换版、审计 | keys: make, derive, roll over, audit"),
    "journal":    ("tools.journal",    "车载机日志镜像:逐条解释 | explain a journal's flash image, also a broken one"),
    "firmware":   ("tools.firmware",   "编译固件、统计大小 | compile the firmware, show its size"),
    "bench":      ("tools.bench",      "性能指标 | figures as ratios against a named reference"),
}

_CURES = {      # what the machine refused -> what to do about it
    errno.ENOENT: "name a file in a folder that exists",
    errno.ENOTDIR: "name a file in a folder that exists",
    errno.EISDIR: "name a file, not a folder",
    errno.EACCES: "name another place, or run it as the user who may",
    errno.EPERM: "name another place, or run it as the user who may",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "make room on the disk, then run it again",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage leaves by SystemExit(2), as argparse does."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="ykt", description="yikatong 一卡通: 终端与清分 | terminals and clearing")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {}
    for name, (module, help_line) in COMMANDS.items():
        command = choices.add_parser(name, help=help_line, description=help_line)
        if name in argv[:1]:
            modules[name] = importlib.import_module(module)
            modules[name].configure(command)

    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)       # parts that run are stopped in order, as by Ctrl-C
    try:
        code: int = modules[args.command].run(args)
        sys.stdout.flush()
        return code
    except NotSetUp as missing:
        print(f"ykt {args.command}: {missing}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ykt {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:         # the reader of our output, `head` for one, has seen enough
        _drop_output()
        return 0
    except OSError as refused:
        _drop_output()
        print(f"ykt {args.command}: {_in_words(refused)}", file=sys.stderr)
        return 1


def _drop_output() -> None:
    """What could not be written is tried once more when Python ends: let that succeed."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(refused: OSError) -> str:
    """What the machine refused, where, and what to do."""
    where = f"{refused.filename}: " if refused.filename is not None else ""
    cure = _CURES.get(refused.errno or 0)
    return f"{where}{refused.strerror or refused}" + (f"; {cure}" if cure else "")


if __name__ == "__main__":
    sys.exit(main())
