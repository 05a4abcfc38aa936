"""A key in parts, each held by one custodian: XOR components, or shares of which some suffice (SLIP-39).

XOR: all components are needed, any fewer tell nothing. Typed as 8 groups of 4 hex digits, which carry no checksum, so
the component's check value is typed with it. SLIP-39: `threshold` of the shares are needed; typed as 20 words that
carry a checksum. Each part is 16 bytes, and so has a check value like a key: E(part, zeros). A part's text is secret;
no message here quotes one.
"""

import contextlib
import secrets
from collections.abc import Sequence

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from backoffice.keys import schemes
from backoffice.keys.backend import KeysError
from backoffice.keys.suites import SUITES

XOR, SLIP39 = "xor", "slip39"
METHODS = (XOR, SLIP39)
PART_BYTES = 16
ALGORITHMS = ("3DES", "SM4", "AES")
COMPONENTS_MIN = 3
SHARES_MAX = 16  # of SLIP-39
SHARE_WORDS = 20  # of a 16-byte secret
KCV_DIGITS = 6
_PREFIX = 4  # letters that name a word of SLIP-39
_BY_PREFIX = {word[:_PREFIX]: word for word in WORDLIST}
_HEX = frozenset("0123456789abcdefABCDEF")


class PartRefused(KeysError):
    """What was typed is not taken. Nothing was kept of it: look at the slip and type it again."""


class BadPart(PartRefused):
    """No component, share or check value: a digit or word is missing, too many, or none."""


class WrongCheckValue(PartRefused):
    """The check value of what was typed is another than the one on the envelope or in the plan."""


class EqualParts(PartRefused):
    """Two custodians gave the same part: one of them holds the other's, and XOR would cancel both."""


def kcv(algorithm: str, value: bytes) -> str:
    """6 hex digits: the first 3 bytes of E(value, zeros). value: 16 bytes."""
    if len(value) != PART_BYTES or algorithm not in ALGORITHMS:
        raise BadPart(f"a key of {' '.join(ALGORITHMS)} or a part of one has {PART_BYTES} bytes")
    if algorithm == "AES":
        return schemes.kcv_aes(value).hex().upper()
    return SUITES[algorithm].kcv(value).hex().upper()


def check_kcv(typed: str, algorithm: str, value: bytes, what: str) -> str:
    """The check value of `value`, where `typed` is it. Raises BadPart, WrongCheckValue."""
    wanted, found = parse_kcv(typed), kcv(algorithm, value)
    if wanted != found:
        raise WrongCheckValue(f"{what}: its check value is {found}, not {wanted}; compare each group with the slip")
    return found


def parse_kcv(typed: str) -> str:
    text = _packed(typed)
    if len(text) != KCV_DIGITS or not _HEX.issuperset(text):
        raise BadPart("a check value (KCV) has 6 digits of 0-9 and A-F")
    return text.upper()


def draw() -> bytes:
    """A component nobody knew before."""
    return secrets.token_bytes(PART_BYTES)


def show(method: str, part: str) -> list[str]:
    """The lines that a custodian writes down, or types."""
    if method == XOR:
        groups = [part[at : at + 4] for at in range(0, len(part), 4)]
        return [" ".join(groups[:4]), " ".join(groups[4:])]
    words = part.split()
    return ["  ".join(f"{at + 1:2} {word:<8}" for at, word in list(enumerate(words))[row : row + 5]).rstrip()
            for row in range(0, len(words), 5)]  # fmt: skip


def parse(method: str, typed: str) -> str:
    """The text of a part as it is kept: 32 hex digits in capitals, or 20 words. Raises BadPart."""
    return _parse_hex(typed) if method == XOR else _parse_words(typed)


def value_of(method: str, part: str) -> bytes:
    """16 bytes, of which a part has its check value."""
    return bytes.fromhex(part) if method == XOR else bytes(Share.from_mnemonic(part).value)


def threshold_of(part: str) -> int:
    """How many shares this share asks for."""
    return int(Share.from_mnemonic(part).member_threshold)


def split(secret: bytes, shares: int, threshold: int) -> list[str]:
    """SLIP-39 shares of a 16-byte key, `threshold` of which give it back."""
    if not 2 <= threshold <= shares or not COMPONENTS_MIN <= shares <= SHARES_MAX:
        raise BadPart(f"shares: {COMPONENTS_MIN} to {SHARES_MAX}, of which 2 or more are needed")
    return list(generate_mnemonics(1, [(threshold, shares)], secret, iteration_exponent=0)[0])


def split_xor(secret: bytes, components: int) -> list[str]:
    """Components of a key that exists already; all are needed."""
    if components < COMPONENTS_MIN:
        raise BadPart(f"a key has {COMPONENTS_MIN} components or more")
    parts = [draw() for _ in range(components - 1)]
    return [part.hex().upper() for part in (*parts, _xored([secret, *parts]))]


def join(method: str, parts: Sequence[str]) -> bytes:
    """The 16-byte key. Raises EqualParts, BadPart where shares are of different keys, too few, or do not agree."""
    if len(set(parts)) != len(parts):
        raise EqualParts("two custodians gave the same part: each takes the envelope with his own number")
    if method == XOR:
        if len(parts) < COMPONENTS_MIN:
            raise BadPart(f"a key has {COMPONENTS_MIN} components or more")
        return _xored([bytes.fromhex(part) for part in parts])
    return _join_shares(parts)


def _join_shares(parts: Sequence[str]) -> bytes:
    needed = threshold_of(parts[0])
    if len(parts) < needed:
        raise BadPart(f"these shares give the key when there are {needed} of them; there are {len(parts)}")
    some = list(parts[: needed - 1])
    keys: set[bytes] = set()
    with contextlib.suppress(MnemonicError):  # quotes shares: it is not even a cause of our refusal
        keys = {combine_mnemonics([*some, last]) for last in parts[needed - 1 :]}  # more than needed must agree, too
    if len(keys) != 1 or len(key := keys.pop()) != PART_BYTES:
        raise BadPart("these shares are not of one key: compare the envelopes' numbers")
    return bytes(key)


def _parse_hex(typed: str) -> str:
    text = _packed(typed)
    wrong = [at for at, digit in enumerate(text) if digit not in _HEX]
    if wrong:
        raise BadPart(f"group {wrong[0] // 4 + 1}: there are digits 0-9 and A-F only, O and I are none")
    if len(text) != 2 * PART_BYTES:
        raise BadPart(f"a component has 8 groups of 4 digits, {2 * PART_BYTES} in all; these are {len(text)}")
    return text.upper()


def _parse_words(typed: str) -> str:
    words = typed.lower().split()
    words = [word for word in words if not word.isdigit()]  # the numbers of the slip
    if len(words) != SHARE_WORDS:
        raise BadPart(f"a share has {SHARE_WORDS} words; these are {len(words)}")
    whole = [_BY_PREFIX.get(word[:_PREFIX], "") for word in words]
    for at, (word, known) in enumerate(zip(words, whole, strict=True)):
        if not known or not known.startswith(word):
            raise BadPart(f"word {at + 1} is none of the list: its first four letters name it")
    share = None
    with contextlib.suppress(MnemonicError):  # quotes the share: it is not even a cause of our refusal
        share = Share.from_mnemonic(" ".join(whole))
    if share is None:
        raise BadPart("the checksum of these words does not hold: look for a wrong word, or two swapped")
    if share.group_count != 1 or len(share.value) != PART_BYTES:
        raise BadPart("this share is of another kind than the ones made here: one group, 16 bytes")
    return " ".join(whole)


def _packed(typed: str) -> str:
    return "".join(typed.replace("-", " ").split())


def _xored(parts: Sequence[bytes]) -> bytes:
    joined = bytes(PART_BYTES)
    for part in parts:
        joined = bytes(a ^ b for a, b in zip(joined, part, strict=True))
    return joined
