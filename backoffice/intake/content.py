"""What an entry says, as one canonical CBOR map: two entries say the same where their digests are equal.

Keys 0 to 33 are those of the canonical transaction record of the platform. What our wire says beyond it has
negative keys. The quality of the clock (32) is left out: a device that resends may have learnt the time meanwhile.
"""

import hashlib
from typing import Any

import cbor2

from tunion.wire import tap

# canonical key -> field of TAP_V1; seq (34) and epoch (35) are the identity, not the content
_TAP_KEYS = {
    0: "version",
    1: "type",
    2: "card",
    3: "card_kind",
    4: "issuer",
    5: "city",
    6: "counter",
    7: "balance_fen",
    8: "amount_fen",
    9: "at_s",
    10: "terminal",
    12: "terminal_seq",
    14: "key_version",
    15: "key_index",
    16: "algorithm",
    22: "list_fen",
    23: "discount_fen",
    24: "fare_id",
    25: "fare_version",
    26: "line",
    27: "stop_in",
    28: "stop_out",
    30: "driver",
    31: "vehicle",
    -1: "limit_fen",
    -2: "industry",
    -5: "event",
    -6: "fare_case",
    -7: "layer",
    -8: "riders",
    -9: "modes",
    -10: "granted",
    -11: "owed_fen",
    -12: "ride_s",
}
_TAC = 13
_STATUS = 21
_MAC2 = -3
_SW = -4
_OTHER_KINDS = {tap.EVENT: ("at_s", "code", "reason", "card", "value"), tap.AMEND: ("at_s", "of_seq", "outcome")}


def content_hash(body: Any, outcome: Any) -> bytes:
    """SHA-256, 32 bytes, of a body and outcome as tunion.wire.tap.from_wire gives them."""
    if body.kind == tap.TAP:
        said = {key: getattr(body, field) for key, field in _TAP_KEYS.items()}
        said.update({_TAC: outcome.tac, _STATUS: outcome.code, _MAC2: outcome.mac2, _SW: outcome.sw})
    else:
        said = {0: body.version, 1: [body.kind, *(getattr(body, field) for field in _OTHER_KINDS[body.kind])]}
    return hashlib.sha256(cbor2.dumps(said, canonical=True)).digest()
