"""What the commands of `ykt cards` share: their arguments, who acts, how rows are shown."""

import argparse
import getpass
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backoffice.keys.keyring import Keyring
from backoffice.store.card_states import WORDS
from backoffice.store.engine import Store
from tools import keys_args
from tools.backoffice_text import print_table

JSON_HELP = "一个 JSON 对象 | one object for a program to read"


def command(
    commands: Any, name: str, act: Callable[[argparse.Namespace], int | None], help_line: str, keys: bool = False
) -> argparse.ArgumentParser:
    """A sub-command with the arguments that all have. `keys`: it uses them."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=act)
    parser.add_argument("--db", type=Path, required=True, metavar="FILE", help="数据库文件 | database file")
    parser.add_argument("--user", default=getpass.getuser(), metavar="NAME",
                        help="操作员 | who does it (default: the login)")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
    if keys:
        keys_args.wants_keys(parser)
    return parser


def group(commands: Any, name: str, help_line: str) -> Any:
    parser = commands.add_parser(name, help=help_line, description=help_line)
    return parser.add_subparsers(dest=f"{name}_action", metavar="ACTION", required=True)


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argument's type: a whole number within limits."""

    def checked(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"a whole number from {low} to {high}")
        return int(text)

    return checked


def number(text: str) -> str:
    """An argument's type: a card number."""
    digits = text.replace(" ", "")
    if len(digits) != 19 or not (digits.isascii() and digits.isdecimal()):
        raise argparse.ArgumentTypeError("a card number has 19 digits")
    return digits


def keys_of(args: argparse.Namespace, store: Store) -> Keyring:
    """The key service, of the kind that the database is of. Raises KeysError."""
    with store.reading() as db:
        return keys_args.open_keys(args, db)


def now_s() -> int:
    return int(time.time())


def say(args: argparse.Namespace, said: Any, words: str) -> None:
    """One answer, for a program or a person."""
    print(json.dumps(said, ensure_ascii=False) if args.json else words)


def table(args: argparse.Namespace, name: str, head: Sequence[tuple[str, str]], rows: list[dict[str, Any]],
          columns: Sequence[Callable[[dict[str, Any]], object]], left: int) -> None:  # fmt: skip
    """Rows as JSON, or as a table; without any, in words."""
    if args.json:
        print(json.dumps({name: rows}, ensure_ascii=False))
    elif not rows:
        print("没有 | none")
    else:
        print_table(head, [tuple(str(column(row)) for column in columns) for row in rows], left)


def state_words(state: str) -> str:
    return " ".join(WORDS[state])
