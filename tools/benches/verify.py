"""params.verify: one ECDSA P-256 signature on the emulated Cortex-M3, in instructions.

For milliseconds divide by what a board does of such instructions: some 56 a us on an RP2040, 117 on an ESP32-S3.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import board
from tools.bench import Figure

# RFC 6979, A.2.5: the key's point, and the signature of "sample" with SHA-256.
PROGRAM = """
from hashlib import sha256
from tunion.crypto import p256
from validator.params import ROUNDS_A_STEP

KEY = bytes.fromhex(
    "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
SIGNATURE = bytes.fromhex(
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")

def multiply(x, y, P, count):
    while count:
        x = x * y % P
        count -= 1

digest = sha256(b"sample").digest()
since = instructions()
verification = p256.Verification(KEY, digest, SIGNATURE)
longest = total = spent(since)
done = False
while not done:
    since = instructions()
    done = verification.step(ROUNDS_A_STEP)
    count = spent(since)
    total += count
    longest = max(longest, count)
assert verification.good
since = instructions()
multiply(p256.N, p256.N - 1, p256.P, 1000)
print(total, longest, spent(since))
"""
MULTIPLICATIONS = 3500      # modulo P, of one signature: what no implementation in these integers could leave out


def params_verify() -> Iterator[Figure]:
    """The whole signature, and the longest of its steps, for which a card may have to wait."""
    with tempfile.TemporaryDirectory() as folder:
        total, longest, thousand = map(int, board.run(PROGRAM, board.image(Path(folder))).split())
    bare = thousand * MULTIPLICATIONS / 1000
    reference = f"{MULTIPLICATIONS} multiplications modulo P"
    yield Figure("params.verify", total, "instr", reference, bare)
    yield Figure("params.verify.step", longest, "instr", reference, bare)
