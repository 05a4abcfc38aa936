"""Hurts a SoftHSM token: changes bytes of its files, or kills the program that stores keys. For test_token.

    python -m backoffice.tests.token_hurt bytes|kills FOLDER SEED COUNT        exits 1 where something is wrong

bytes  one byte at a time: an answer is as before, or a refusal by name. Each try is a process of its own, as the module
       may die of what it reads; that counts as a refusal.
kills  at one call after another of a program that makes, changes and destroys a key: then the key is there whole, or
       not at all and can be made, and no other key is hurt.
"""

import os
import random
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pkcs11.constants import Attribute, ObjectClass

from backoffice.keys import token
from backoffice.keys.backend import DESTROYED, RETIRED, KeyInfo, KeyPath, KeysError
from backoffice.tests.softhsm import SoftHsm, softhsm

WRONG, NO_ANSWER = 1, 3  # other exit codes are the module's: SoftHSM ends the program with 5 on some files
_MEMORY_BYTES, _CPU_S = 2 << 30, 10  # a length that was changed may be of gigabytes
_COUNTED_AGAIN = 3  # lives: with each the token holds more to read


def answers(opened: token.Token) -> list[object]:
    path = KeyPath("load", (bytes(8),))
    return [
        opened.infos(), opened.test, opened.session_mac(path, bytes(8), b"message"), opened.hmac("device", b"message"),
        opened.public_key("params"),
    ]  # fmt: skip


def in_a_child(work: Callable[[], int]) -> int:
    """Its exit code, negative where a signal ended it."""
    child = os.fork()
    if not child:
        code = WRONG
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def change_bytes(hsm: SoftHsm, chance: random.Random, count: int) -> bool:
    opened = hsm.make()
    opened.make(KeyInfo("load", "load", "3DES", "nation", "", ""))
    opened.make(KeyInfo("device", "device", "HMAC", "device", "7", ""))
    opened.make(KeyInfo("params", "params", "ES256", "sign", "", ""))
    before = answers(opened)
    opened.close()

    def asked() -> int:
        hsm.forget()  # what the parent read
        try:
            return 0 if answers(hsm.open()) == before else WRONG
        except KeysError:
            return NO_ANSWER

    def changed(path: Path, at: int, bit: int) -> int:
        """Exit code of who asks then."""
        old = path.read_bytes()
        path.write_bytes(old[:at] + bytes([old[at] ^ bit]) + old[at + 1 :])
        code = in_a_child(asked)
        path.write_bytes(old)
        return code

    files = sorted(hsm.tokens.glob("*/*.object"), key=lambda path: path.stat().st_size)
    row = files[-1]  # the middle of its file is the sealed value
    if changed(row, row.stat().st_size // 2, 1) != NO_ANSWER:
        print("a changed row is not refused")
        return False
    found: Counter[int] = Counter()
    for _ in range(count):
        path = chance.choice(files)
        at, bit = chance.randrange(path.stat().st_size), 1 << chance.randrange(8)
        code = changed(path, at, bit)
        found[code] += 1
        if code == WRONG:
            print(f"byte {at} of {path.name}, bit {bit}: another answer")
            return False
    print(dict(found))
    return True


def whole_life(opened: token.Token, key_id: str) -> Iterator[None]:
    """In three steps."""
    made = opened.make(KeyInfo(key_id, "load", "3DES", "nation", "", ""))
    yield
    opened.change(made._replace(state=RETIRED))
    yield
    opened.change(made._replace(state=DESTROYED))
    yield


def die_at(call: int) -> Callable[[object, str, object], None]:
    """For sys.setprofile."""
    left = call

    def seen(_frame: object, event: str, _about: object) -> None:
        nonlocal left
        if event in ("call", "c_call"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return seen


def calls_of(hsm: SoftHsm, key_id: str) -> list[int]:
    """Calls until the end of each step."""
    opened, count, ends = hsm.open(), 0, []

    def seen(_frame: object, event: str, _about: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    for _ in whole_life(opened, key_id):
        ends.append(count)
    sys.setprofile(None)
    opened.close()
    return ends


def kill_programs(hsm: SoftHsm, chance: random.Random, count: int) -> bool:
    hsm.make().close()
    states: Counter[str] = Counter()
    known: set[str] = set()
    for number in range(count):
        if number % _COUNTED_AGAIN == 0:
            ends = calls_of(hsm, f"counted {number}")
        step, part = number % len(ends), number // len(ends)  # of each step so many parts, one death in each
        start = ends[step - 1] if step else 1
        key_id = f"key {number}"
        call = start + int((ends[step] - start) * (part + chance.random()) * len(ends) / count)

        def lives(key_id: str = key_id, call: int = call) -> int:
            opened = hsm.open()
            sys.setprofile(die_at(call))
            for _ in whole_life(opened, key_id):
                pass
            return 0

        ended = in_a_child(lives)
        hsm.forget()
        opened = hsm.open()
        infos = {info.key_id: info for info in opened.infos()}
        state = infos[key_id].state if key_id in infos else "none"
        states[state] += 1
        if state == "none":
            opened.make(KeyInfo(key_id, "load", "3DES", "nation", "", ""))
        if state != DESTROYED:
            opened.kcv(KeyPath(key_id))
        keys = of_name(opened, key_id)
        if ended not in (0, -signal.SIGKILL) or keys != (state != DESTROYED) or not known <= infos.keys():
            print(f"call {call} of {ends}: {keys} keys where the state is {state}; kept {sorted(infos)}")
            return False
        known.add(key_id)
        opened.close()
    print(dict(states))
    return len(states) == 4  # none, active, retired, destroyed: the kills went through all of its life


def of_name(opened: token.Token, key_id: str) -> int:
    with opened._link.use() as session:
        return len(list(session.get_objects({Attribute.LABEL: key_id, Attribute.CLASS: ObjectClass.SECRET_KEY})))


def main() -> int:
    how, folder, seed, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(f"seed {seed}")
    with softhsm(folder / "hsm") as hsm:
        return 0 if {"bytes": change_bytes, "kills": kill_programs}[how](hsm, random.Random(seed), count) else 1


if __name__ == "__main__":
    sys.exit(main())
