"""ECDSA signatures over P-256 and SHA-256, verified in plain integers. FIPS 186-4, SEC 1, curve of SP 800-186.

Only public numbers are handled here, so nothing needs to take constant time. A signature is r and s, 32 bytes each;
a key is the point in 65 bytes, 04 X Y; a digest is 32 bytes. The work can be cut into small steps: on a board a
whole one takes about a second, and a card may come.
"""

from tunion.compat import const
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

    Point = tuple[int, int, int]  # Jacobian: x = X / Z^2, y = Y / Z^3; Z = 0 is infinity

KEY_BYTES = const(65)
SIGNATURE_BYTES = const(64)
DIGEST_BYTES = const(32)
ROUNDS_MAX = const(257)  # of `Verification.step`, each one doubling and at most two additions

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
# The base point times 1, 3, 5 and 7; a test derives them again.
_BASE = (
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        1,
    ),
    (
        0x5ECBE4D1A6330A44C8F7EF951D4BF165E6C6B721EFADA985FB41661BC6E7FD6C,
        0x8734640C4998FF7E374B06CE1A64A2ECD82AB036384FB83D9A79B127A27D5032,
        1,
    ),
    (
        0x51590B7A515140D2D784C85608668FDFEF8C82FD1F5BE52421554A0DC3D033ED,
        0xE0C17DA8904A727D8AE1BF36BF8A79260D012F00D4D80888D1D0BB44FDA16DA4,
        1,
    ),
    (
        0x8E533B6FA0BF7B4625BB30667C01FB607EF9F8B8A80FEF5B300628703187B2A3,
        0x73EB1DBDE03318366D069F83A6F5900053C73633CB041B21C55E1A86C1F400B4,
        1,
    ),
)
_PREPARING = const(4)  # as long as so many rounds, which the first step has less
_INFINITY = (1, 1, 0)


class BadKey(BadInput):
    """Not a public key of this curve. Provision the device again; no signature was looked at."""


class BadSignature(BadInput):
    """The holder of the key did not sign this. Refuse what it came with."""


class Verification:
    """One signature under way: `step` until it says True; then `good` tells."""

    def __init__(self, key: "Bytes", digest: "Bytes", signature: "Bytes") -> None:
        """Raises BadKey, and BadSignature for r or s outside 1..N-1: such a pair is no signature of anything."""
        x, y = point(key)
        if len(digest) != DIGEST_BYTES:
            raise BadInput("a SHA-256 digest has 32 bytes")
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature("a P-256 signature has 64 bytes, r and s")
        r = int.from_bytes(bytes(signature[:32]), "big")
        s = int.from_bytes(bytes(signature[32:]), "big")
        if not 0 < r < N or not 0 < s < N:
            raise BadSignature("r or s of the signature lies outside the group")
        w = _inverse(s)
        self._r = r
        self._times_base = int.from_bytes(bytes(digest), "big") * w % N
        self._times_key = r * w % N
        self._key = (x, y, 1)
        self._of_base = self._of_key = bytearray()
        self._multiples: tuple[Point, ...] = ()  # empty: not prepared
        self._round = 0
        self._sum = _INFINITY
        self.good = False

    def _prepare(self) -> None:
        self._of_base = _signed_digits(self._times_base)
        self._of_key = _signed_digits(self._times_key)
        self._multiples = _odd_multiples(self._key)
        self._round = max(len(self._of_base), len(self._of_key))

    def step(self, rounds: int) -> bool:
        """Go on by so many rounds; True when it is over and `good` is set."""
        if not self._multiples:
            self._prepare()
            rounds -= _PREPARING
            if rounds <= 0:
                return False
        total = self._sum
        while rounds > 0 and self._round > 0:
            rounds -= 1
            self._round -= 1
            total = _doubled(total)
            total = _with_digit(total, _BASE, self._of_base, self._round)
            total = _with_digit(total, self._multiples, self._of_key, self._round)
        self._sum = total
        if self._round:
            return False
        x, _, z = total
        # x / z^2 mod P mod N must be r. Rather than divide, try the one or two x that give this r.
        zz = z * z % P
        self.good = z != 0 and (x == self._r * zz % P or (self._r + N < P and x == (self._r + N) * zz % P))
        return True


def verify(key: "Bytes", digest: "Bytes", signature: "Bytes") -> None:
    """Raises BadSignature unless the key's holder signed the digest, BadKey for a key that is none."""
    verification = Verification(key, digest, signature)
    verification.step(ROUNDS_MAX + _PREPARING)
    if not verification.good:
        raise BadSignature("the signature is wrong: another key, or a changed message")


def point(key: "Bytes") -> "tuple[int, int]":
    """(x, y) of a public key; raises BadKey for another form, a number beyond the field, a point beside the curve.

    The curve's cofactor is 1: a point on it that is not infinity, which has no such form, is in the group.
    """
    if len(key) != KEY_BYTES or key[0] != 4:
        raise BadKey("a P-256 key is an uncompressed point of 65 bytes")
    x = int.from_bytes(bytes(key[1:33]), "big")
    y = int.from_bytes(bytes(key[33:]), "big")
    if x >= P or y >= P or (y * y - (x * x - 3) * x - _B) % P:
        raise BadKey("the P-256 key is no point of the curve")
    return x, y


def _inverse(number: int) -> int:
    """1 / number modulo N, by Euclid's algorithm: a third of the instructions of number ** (N - 2). 0 < number < N."""
    left, right = number, N
    a, b = 1, 0  # a * number is left modulo N, b * number is right
    while left > 1:
        quotient = right // left
        left, right = right - quotient * left, left
        a, b = b - quotient * a, a
    return a % N


def _signed_digits(number: int) -> bytearray:
    """`number` as digits 0, ±1, ±3, ±5, ±7 of base 2, lowest first, any four in a row with at most one not 0.

    A negative digit is kept as 256 more. Width-4 NAF: an addition about every fifth doubling.
    """
    digits = bytearray(ROUNDS_MAX)
    count = 0
    while number:
        if number & 1:
            digit = number & 15
            if digit > 8:
                digit -= 16
            number -= digit
            digits[count] = digit & 255
        number >>= 1
        count += 1
    return digits[:count]


def _odd_multiples(once: "Point") -> "tuple[Point, Point, Point, Point]":
    twice = _doubled(once)
    thrice = _added(twice, once)
    five = _added(thrice, twice)
    return once, thrice, five, _added(five, twice)


def _with_digit(total: "Point", multiples: "tuple[Point, ...]", digits: bytearray, at: int) -> "Point":
    digit = digits[at] if at < len(digits) else 0
    if digit == 0:
        return total
    if digit < 128:
        return _added(total, multiples[digit >> 1])
    x, y, z = multiples[(256 - digit) >> 1]
    return _added(total, (x, P - y, z))


def _doubled(point: "Point") -> "Point":
    """Source: dbl-2001-b of the Explicit-Formulas Database, for a = -3. Infinity stays infinity."""
    x, y, z = point
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def _added(left: "Point", right: "Point") -> "Point":
    """Source: add-1998-cmo-2 of the same, with the cases it leaves out: infinity, a point twice, a point's negative."""
    x1, y1, z1 = left
    x2, y2, z2 = right
    if z1 == 0:
        return right
    if z2 == 0:
        return left
    if z2 == 1:
        u1, s1, z3 = x1, y1, z1
    else:
        z2z2 = z2 * z2 % P
        u1, s1, z3 = x1 * z2z2 % P, y1 * z2 * z2z2 % P, z1 * z2 % P
    z1z1 = z1 * z1 % P
    h = (x2 * z1z1 - u1) % P
    r = (y2 * z1 * z1z1 - s1) % P
    if h == 0:
        return _doubled(left) if r == 0 else _INFINITY
    hh = h * h % P
    hhh = h * hh % P
    v = u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, z3 * h % P
