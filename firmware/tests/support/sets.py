"""Parameter sets as a back office would sign them, for tests. The key is invented, as are the fares."""

from hashlib import sha256

from support.signer import Signer
from tunion import cose_sign1
from tunion.wire import manifest
from tunion.wire import params as wire

SIGNER = Signer()
SCOPE = "SAMPLE-BUS"
CREATED_S = 1748700000
EFFECTIVE_S = 1748741000  # soon after a ManualClock starts
EXPIRES_S = EFFECTIVE_S + 366 * 86400
HOME = b"\x04\x02\x61\x10"
FOREIGN = b"\x04\x03\x61\x40"
TUNABLES = {"balance_max_fen": 500000, "block_denied": 0, "grey_after_s": 14400, "overdraft": 0, "same_card_s": 5}


def sections(version=2, fare_fen=250, issuers=(HOME, FOREIGN), **changes):
    """Well-formed; `changes` replace whole sections."""
    made = {
        "FARE": [version, [1, fare_fen]],
        "KIND": [1, [[2, 300], [3, 500]]],
        "CAL": [1, [[20251001, wire.HOLIDAY], [20251011, wire.WORKDAY]]],
        "BIN": [1, [HOME, b"".join(issuers)]],
        "DEV": [1, dict(TUNABLES)],
    }
    for name in changes:
        made[name] = changes[name]
    return made


def header(version=2, scope=SCOPE, effective_at_s=EFFECTIVE_S, expires_at_s=EXPIRES_S, name="sample"):
    return {
        "name": name,
        "version": version,
        "scope": scope,
        "created_s": CREATED_S,
        "effective_at_s": effective_at_s,
        "expires_at_s": expires_at_s,
    }


def payload(version=2, fare_fen=250, issuers=(HOME, FOREIGN), **changes):
    """`changes` of the header."""
    made = sections(version, fare_fen, issuers)
    samples = wire.samples_of(wire.fare_of(made), made["KIND"][1])
    return wire.encode(header(version, **changes), samples, made)


def sealed(content, signer=SIGNER):
    """The signed blob of a payload, which need not be good."""
    return cose_sign1.seal(content, signer.key, wire.AAD, signer.sign)


def entry(version, blob, effective_at_s=EFFECTIVE_S, **changes):
    """What the manifest says of it."""
    fields = dict(
        kind=manifest.PARAMS,
        version=version,
        bytes=len(blob),
        sha256=sha256(blob).digest(),
        effective_at_s=effective_at_s,
        base=0,
    )
    for name in changes:
        fields[name] = changes[name]
    return manifest.Entry(**fields)
