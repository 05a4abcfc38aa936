"""Changes bytes of SoftHSM's files, one at a time: an answer is as before, or a refusal by name. For test_token.

python -m backoffice.tests.token_bytes FOLDER SEED COUNT: exits 1 where another answer came. Each try is a process of
its own, as the module may die of what it reads; that counts as a refusal.
"""

import os
import random
import sys
from pathlib import Path

from backoffice.keys import token
from backoffice.keys.backend import KeyInfo, KeyPath, KeysError
from backoffice.tests.softhsm import SoftHsm, softhsm

NO_ANSWER = 3


def answers(opened: token.Token) -> list[object]:
    path = KeyPath("load", (bytes(8),))
    return [
        opened.infos(), opened.test, opened.session_mac(path, bytes(8), b"message"), opened.hmac("device", b"message"),
        opened.public_key("params"),
    ]  # fmt: skip


def tried(hsm: SoftHsm, before: list[object]) -> int:
    """Exit code of a child: 0 as before, NO_ANSWER refused by name, else wrong."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if answers(hsm.open()) == before else 1
        except KeysError:
            code = NO_ANSWER
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    found: dict[int, int] = {}  # exit code -> how many times
    with softhsm(folder / "hsm") as hsm:
        opened = hsm.make()
        opened.make(KeyInfo("load", "load", "3DES", "nation", "", ""))
        opened.make(KeyInfo("device", "device", "HMAC", "device", "7", ""))
        opened.make(KeyInfo("params", "params", "ES256", "sign", "", ""))
        before = answers(opened)
        files = sorted(hsm.tokens.glob("*/*.object"))
        for _ in range(count):
            path = chance.choice(files)
            old = path.read_bytes()
            at, bit = chance.randrange(len(old)), 1 << chance.randrange(8)
            path.write_bytes(old[:at] + bytes([old[at] ^ bit]) + old[at + 1 :])
            code = tried(hsm, before)
            path.write_bytes(old)
            found[code] = found.get(code, 0) + 1
            if code not in (0, NO_ANSWER) and code > 0:
                print(f"seed {seed}: byte {at} of {path.name}, bit {bit}: exit code {code}")
                return 1
        print(found)
        return 0 if found.get(NO_ANSWER) else 1


if __name__ == "__main__":
    sys.exit(main())
