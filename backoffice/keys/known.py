"""Check values of keys that are printed in books and test vectors. A production vault takes none of them.

KCV: first 3 bytes of E(key, zeros). Three bytes meet one random key in 16 million by chance; that one is drawn
again.
"""

_VECTORS = "the card vectors of this project"
_REGIONAL = "the regional sample cards of this project"
_DELIVERY = "the test deliveries of this project"

KNOWN_TEST_KCVS: dict[str, dict[str, str]] = {
    "3DES": {
        "9A67AD": _VECTORS,  # MPK
        "9D75B3": _VECTORS,  # MLK
        "820638": _VECTORS,  # MTK
        "08D7B4": _VECTORS,  # MAMK
        "1CFE71": _VECTORS,  # the same at issuer level, purchase, load, TAC, maintenance
        "0BE49E": _VECTORS,
        "F801E0": _VECTORS,
        "14C71A": _VECTORS,
        "978277": _VECTORS,  # and at card level
        "E12EF0": _VECTORS,
        "D9C5A6": _VECTORS,
        "409583": _VECTORS,
        "840F9D": _REGIONAL,  # purchase, load, TAC, maintenance
        "8D0868": _REGIONAL,
        "929E3E": _REGIONAL,
        "819DB1": _REGIONAL,
        "259F47": _DELIVERY,
        "491510": "a published worked example",
        "FB0975": "a published worked example",
        "8CA64D": "a key of zeros",
        "CAAAAF": "a key of ones",
        "D5D44F": "0123456789ABCDEF twice",
        "8BAF47": "the default key of card vendors",
    },
    "SM4": {
        "AC5F1F": _VECTORS,
        "28C4A0": _VECTORS,
        "0C2CC7": _VECTORS,
        "2677F4": _VECTORS,
        "9F1F7B": "a key of zeros",
        "E28F2C": "a key of ones",
        "808708": "0123456789ABCDEF twice",
        "8EB0E2": "the default key of card vendors",
    },
    "AES": {
        "192EC6": _DELIVERY,
        "66E94B": "a key of zeros",
        "A1F625": "a key of ones",
        "79ABC5": "0123456789ABCDEF twice",
        "189956": "the default key of card vendors",
    },
    "HMAC": {
        "3152DE": "the samples of this project",
        "E7A6AA": "the samples of this project",
        "B61367": "a key of zeros",
    },
}
