"""`python -m tools.gb2312`: writes the table of characters that displays with GB2312 in their ROM are told.

MicroPython has no codec; the table holds what panel and driver are shown and no more.
"""

import ast
import sys
from pathlib import Path

from tools.paths import FIRMWARE

SOURCES = ("messages.py", "duty_words.py")      # whose texts are shown
TABLE = FIRMWARE / "validator" / "drivers" / "gb2312.py"
ROW = 32

HEAD = '''"""GB2312 of the characters that panels show. Written by `python -m tools.gb2312`, never by hand."""

# In the order of their code points; the code of number i is CODES[2 * i : 2 * i + 2].
'''
TAIL = '''

def code(letter: str) -> bytes:
    """One byte for ASCII, two for a character of the table, a question mark for any other."""
    if " " <= letter <= "~":
        return letter.encode()
    at = CHARACTERS.find(letter)
    return CODES[2 * at : 2 * at + 2] if at >= 0 else b"?"
'''


def characters() -> str:
    """Every character beyond ASCII in the texts of SOURCES, docstrings left out, in order."""
    found: set[str] = set()
    for name in SOURCES:
        tree = ast.parse((FIRMWARE / "validator" / name).read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                found.update(letter for letter in node.value if ord(letter) > 0x7F)
    return "".join(sorted(found))


def table() -> str:
    """The module's source. Raises UnicodeEncodeError for a character that GB2312 has not."""
    letters = characters()
    codes = letters.encode("gb2312").hex()
    rows = [f'    "{letters[at : at + ROW]}"' for at in range(0, len(letters), ROW)]
    lines = [f'    "{codes[at : at + 96]}"' for at in range(0, len(codes), 96)]
    return (
        HEAD
        + "CHARACTERS = (\n" + "\n".join(rows) + "\n)\n"
        + "CODES = bytes.fromhex(\n" + "\n".join(lines) + "\n)\n"
        + TAIL
    )  # fmt: skip


def main(path: Path = TABLE) -> int:
    path.write_text(table(), encoding="utf-8")
    print(f"{path.name}: {len(characters())} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
