"""A regional application as a device file names it. INVENTED, all of it: no city's card looks like this.

In the manner of a PBOC 2.0 purse: another name, one file with other places, one key level, plain purchases.
"""

LEGACY_NUMBER = 1
LEGACY_AID = b"\xf0YKTOLD1"  # F0: nobody's registered name
LEGACY_SFI = 0x05
LEGACY_FILE_BYTES = 32
LEGACY_KEY_INDEX = 2
LEGACY = {
    "number": LEGACY_NUMBER,
    "name": "sample legacy",
    "aid": LEGACY_AID,
    "files": [[LEGACY_SFI, LEGACY_FILE_BYTES]],
    "places": {
        "city": [LEGACY_SFI, 0, 2],
        "issuer": [LEGACY_SFI, 2, 4],
        "kind": [LEGACY_SFI, 6, 1],
        "enabled": [LEGACY_SFI, 7, 1],
        "serial": [LEGACY_SFI, 8, 8],
        "start": [LEGACY_SFI, 16, 4],
        "expiry": [LEGACY_SFI, 20, 4],
    },
    "wanted": {"enabled": b"\x01"},
    "factors": ["card"],
    "key_index": LEGACY_KEY_INDEX,
    "types": [6],
    "log_sfi": 0x18,
}


def legacy_file(city: bytes, issuer: bytes, kind: int, serial: bytes, start: bytes, expiry: bytes) -> bytes:
    """File 05h of a sample card. city: 2 bytes, issuer: 4, serial: 8, dates: 4 each, BCD."""
    head = city + issuer + bytes((kind, 1)) + serial + start + expiry
    return head + bytes(LEGACY_FILE_BYTES - len(head))
