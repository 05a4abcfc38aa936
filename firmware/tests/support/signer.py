"""ECDSA P-256 the slow way, in affine coordinates: signs what a back office would, and is a second implementation.

For tests only: it takes as long as the secret says. The secrets are invented.
"""

from tunion.crypto.p256 import N, P

BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SECRET = 0x1A2B3C4D5E6F708192A3B4C5D6E7F80912233445566778899AABBCCDDEEFF001


def inverse(number, modulus):
    """By Euclid; `number` not 0 modulo `modulus`."""
    left, right, a, b = number % modulus, modulus, 1, 0
    while left > 1:
        quotient = right // left
        left, right, a, b = right - quotient * left, left, b - quotient * a, a
    return a % modulus


def add(left, right):
    """Points (x, y); None is infinity."""
    if left is None or right is None:
        return left or right
    if left[0] == right[0]:
        if (left[1] + right[1]) % P == 0:
            return None
        slope = 3 * (left[0] * left[0] - 1) * inverse(2 * left[1], P)
    else:
        slope = (right[1] - left[1]) * inverse(right[0] - left[0], P)
    x = (slope * slope - left[0] - right[0]) % P
    return x, (slope * (left[0] - x) - left[1]) % P


def times(number, point):
    total = None
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def key_of(point):
    """04 X Y."""
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def pair(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Signer:
    """A key pair. `sign(digest)` is 64 bytes; the nonce comes from the digest, so tests repeat."""

    def __init__(self, secret=SECRET):
        self._secret = secret
        self.key = key_of(times(secret, BASE))

    def sign(self, digest):
        number = int.from_bytes(digest, "big")
        nonce = (number * 0x9E3779B97F4A7C15 + self._secret) % N or 1
        r = times(nonce, BASE)[0] % N
        return pair(r, (number + r * self._secret) * inverse(nonce, N) % N)
