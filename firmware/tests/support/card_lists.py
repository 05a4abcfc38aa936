"""Lists as a back office would sign them, for tests. The card numbers are invented, as is the key."""

from hashlib import sha256

from support import sets
from tunion import cose_sign1
from tunion.bcd import from_digits
from tunion.wire import lists as wire
from tunion.wire import manifest

CREATED_S = sets.CREATED_S
EFFECTIVE_S = sets.EFFECTIVE_S
EXPIRES_S = EFFECTIVE_S + 30 * 86400


def serial(number):
    return from_digits("0310499900%010d" % number)


def records(numbers):
    """A deny list of invented cards, sorted."""
    return b"".join([serial(number) for number in sorted(numbers)])


def header(version, **changes):
    made = {
        "version": version,
        "scope": sets.SCOPE,
        "created_s": CREATED_S,
        "effective_at_s": EFFECTIVE_S,
        "expires_at_s": EXPIRES_S,
    }
    for name in changes:
        made[name] = changes[name]
    return made


def sealed(payload, content, signer=sets.SIGNER):
    """The signed blob of a payload, which need not be good."""
    return wire.blob(cose_sign1.seal(payload, signer.key, wire.AAD, signer.sign), content)


def full(version, content, name=wire.DENY, **changes):
    """A signed full list."""
    return sealed(*wire.full(name, content, **header(version, **changes)))


def delta(base_version, base, version, result, **changes):
    """A signed delta from one list to another."""
    return sealed(*wire.delta(base, base_version, result, **header(version, **changes)))


def entry(blob, version, base=0, name=wire.DENY, **changes):
    """What the manifest says of it."""
    fields = dict(
        kind=wire.NAMES[name],
        version=version,
        bytes=len(blob),
        sha256=sha256(blob).digest(),
        effective_at_s=EFFECTIVE_S,
        base=base,
    )
    for key in changes:
        fields[key] = changes[key]
    return manifest.Entry(**fields)
