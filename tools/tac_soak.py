"""Part of `make soak`: ten million random TAC rows, every width of vector, one in a hundred against OpenSSL's ciphers.

`python -m tools.tac_soak [--rows N] [--seed N]`. A row that is not sampled has a TAC of dice: it must be bad, or
OpenSSL must say that it is not.
"""

import argparse
import random
import secrets
import sys
from functools import partial

from backoffice.keys import native
from backoffice.keys.native import Native, Tag
from backoffice.keys.service import TAC_ROW
from backoffice.keys.suites import SUITES
from tools.paths import NotSetUp

BATCH_ROWS = 100_003  # no whole number of lanes
SAMPLED = 100
ISSUERS = 256  # keys of each batch: the last byte of the issuer says which
OK, BAD = 0, 1


def soak(rows: int, seed: int, library: Native) -> tuple[int, int]:
    """(rows, true ones among them). Raises AssertionError with the number of a row whose verdict is wrong."""
    chance = random.Random(seed)
    done = true = 0
    while done < rows:
        count = min(BATCH_ROWS, rows - done)
        keys = [chance.randbytes(16) for _ in range(ISSUERS)]
        batch = _batch(chance, count)
        expected = bytearray((BAD,)) * count
        for number in range(chance.randrange(SAMPLED), count, SAMPLED):
            tac = bytearray(_tac(keys, batch, number))
            if chance.randrange(2):
                tac[chance.randrange(4)] ^= 1 << chance.randrange(8)
            else:
                expected[number] = OK
                true += 1
            batch[number * TAC_ROW.size + 42 : number * TAC_ROW.size + 46] = tac
        for variant in library.variants:
            verdicts = library.verify_rows(bytes(batch), partial(_key, keys), bytes, variant)
            for number in range(count) if verdicts != expected else ():
                at = number * TAC_ROW.size
                lucky = batch[at + 42 : at + 46] == _tac(keys, batch, number)
                if verdicts[number] != (OK if lucky else BAD):
                    raise AssertionError(f"row {done + number} of seed {seed}, {variant}: {verdicts[number]} is wrong")
        done += count
    return done, true


def _batch(chance: random.Random, count: int) -> bytearray:
    """Random rows of 3DES, of ISSUERS issuers and four versions."""
    batch = bytearray(chance.randbytes(TAC_ROW.size * count))
    for offset in (*range(7), 16, 17, 19, 46, 47):
        batch[offset :: TAC_ROW.size] = bytes(count)
    batch[18 :: TAC_ROW.size] = bytes(byte & 3 for byte in batch[18 :: TAC_ROW.size])
    return batch


def _key(keys: list[bytes], tag: Tag) -> bytes:
    return keys[tag.issuer[7] ^ tag.version]


def _tac(keys: list[bytes], batch: bytearray, number: int) -> bytes:
    one = TAC_ROW.unpack(batch, TAC_ROW.size * number)
    suite = SUITES["3DES"]
    return suite.tac(suite.diversify(keys[one.issuer[7] ^ one.version], one.card), one.message)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    args = parser.parse_args()
    print(f"tac: {args.rows} rows, seed {args.seed}", flush=True)
    try:
        library = native.load()
        if library is None:
            raise NotSetUp(native.state())
        done, true = soak(args.rows, args.seed, library)
    except (AssertionError, NotSetUp) as error:
        print(f"tac: {error}", file=sys.stderr)
        return 1
    print(f"tac: {done} rows, {true} of them true, no verdict wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
