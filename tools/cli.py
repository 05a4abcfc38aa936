"""The `ykt` command.

A command is a module with `configure(parser)`, which declares its arguments, and `run(args) -> int`. Only the
module of the command that was asked for is imported.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted.
"""

import argparse
import importlib
import importlib.util
import os
import sys

from tools.paths import NotSetUp

COMMANDS = {
    "demo":       ("tools.demo",       "整套系统在一台机器上跑一遍 | the whole system on one machine, with real parts"),
    "card":       ("tools.card",       "模拟卡、读卡、解析报文 | serve a simulated card, read a card, decode a trace"),
    "backoffice": ("tools.backoffice", "后台:接收、清分、导出 | serve, clear and export"),
    "journal":    ("tools.journal",    "解读闪存交易日志 | a flash image in words"),
    "firmware":   ("tools.firmware",   "编译固件、统计大小 | compile the firmware, show its size"),
    "bench":      ("tools.bench",      "性能指标 | figures as ratios against a named reference"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage leaves by SystemExit(2), as argparse does."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="ykt", description="yikatong 一卡通: terminals and clearing")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {}
    for name, (module, help_line) in COMMANDS.items():
        if importlib.util.find_spec(module) is None:
            continue
        command = choices.add_parser(name, help=help_line, description=help_line)
        if name in argv[:1]:
            modules[name] = importlib.import_module(module)
            modules[name].configure(command)

    args = parser.parse_args(argv)
    try:
        code = modules[args.command].run(args)
        sys.stdout.flush()
        return code
    except NotSetUp as missing:
        print(f"ykt {args.command}: {missing}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ykt {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:         # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
