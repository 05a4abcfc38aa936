"""What PKCS#11 has no attributes for, kept inside the token: a data object for each key, and one for the token.

A data object's value is 32 bytes of HMAC-SHA-256 under a key that the token made for itself, then JSON. Values of data
objects do not change (SoftHSM refuses it): a change writes a new object with a higher number, then drops the old one.
"""

import json
from typing import Any, NamedTuple

from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import ObjectHandleInvalid
from pkcs11.mechanisms import KeyType, Mechanism

from backoffice.keys.backend import KeyInfo
from backoffice.keys.token_link import TokenError
from backoffice.keys.vault import Tampered

APPLICATION = "yikatong"
VERSION = 1
SEAL_LABEL = "yikatong seal"
SEAL_ID = b"seal"  # keys have 16 bytes
_MARK, _ROW = "token", "key"
_SEAL_BYTES = 32
_ROW_BYTES_MAX = 4096
_LOOKS_MAX = 5
_ROOM_BYTES = 4 * _ROW_BYTES_MAX


class Row(NamedTuple):
    """A kept key. All bytes in hex."""

    number: int  # of this writing; the highest counts
    object_id: str  # CKA_ID of the key, '' once it is destroyed
    factor: str  # of 8 bytes, where it was derived from info.parent
    public: str  # 04 X Y of an ES256 key
    info: KeyInfo


def mark(session: Any, test: bool) -> None:
    """Make a blank token one of ours: the sealing key, and whether its keys are test keys. Raises TokenError."""
    if _seal_keys(session) or _objects(session):
        raise TokenError("this token is set up already")
    session.generate_key(
        KeyType.GENERIC_SECRET, 8 * _SEAL_BYTES, id=SEAL_ID, label=SEAL_LABEL, store=True,
        capabilities=MechanismFlag.SIGN,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.MODIFIABLE: False},
    )  # fmt: skip
    _write(session, SEAL_LABEL, [_MARK, VERSION, test])


def identity(session: Any) -> bytes:
    """32 bytes that no other token has: one made anew under the same label seals with another key."""
    return _hmac(_seal_key(session), b"identity")


def read(session: Any) -> tuple[bool, dict[str, Row]]:
    """(holds test keys, key_id -> its newest row). Raises TokenError for a token that is none of ours, Tampered."""
    seal = _seal_key(session)
    tests: list[bool] = []
    rows: dict[str, Row] = {}
    for content, _ in _all(session, seal):
        if content[0] == _MARK:
            if content[1] != VERSION:
                raise TokenError(f"this token is of version {content[1]}: this program reads {VERSION}")
            tests.append(content[2])
        else:
            row = _row(content)
            old = rows.get(row.info.key_id)
            if old is None or (old.number, row.object_id) < (row.number, old.object_id):  # one of a tie, for all alike
                rows[row.info.key_id] = row
    if len(tests) != 1:
        raise Tampered("the token does not say, or not once, whether it holds test keys: its objects were changed")
    return tests[0], rows


def write(session: Any, row: Row) -> Any:
    """The new data object."""
    return _write(session, row.info.key_id, [_ROW, *row[:-1], list(row.info)])


def of_key(session: Any, key_id: str) -> list[tuple[Row, Any]]:
    """All rows of a key with their objects, newest first; more than one while a change is going on."""
    seal = _seal_key(session)
    found = [(_row(content), data) for content, data in _all(session, seal, key_id) if content[0] == _ROW]
    return sorted(found, key=lambda pair: -pair[0].number)


def try_room(session: Any) -> None:
    """Raises where the token has no room for a few objects more.

    SoftHSM does not see that the last buffer of a file was not written, and shows an object that is lost when the
    process ends: one larger than its buffer it misses at once.
    """
    _create(session, "room", bytes(_ROOM_BYTES), "yikatong room").destroy()


def _row(content: list[Any]) -> Row:
    number, object_id, factor, public, info = content[1:]
    return Row(number, object_id, factor, public, KeyInfo(*info))


def _objects(session: Any, label: str | None = None) -> list[Any]:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: APPLICATION}
    if label is not None:
        wanted[Attribute.LABEL] = label
    return list(session.get_objects(wanted))


def _all(session: Any, seal: Any, label: str | None = None) -> list[tuple[list[Any], Any]]:
    """Contents whose seal holds, with their objects. Another program may drop one while we look: then all anew."""
    for _ in range(_LOOKS_MAX - 1):
        try:
            return _all_now(session, seal, label)
        except ObjectHandleInvalid:
            continue
    return _all_now(session, seal, label)


def _all_now(session: Any, seal: Any, label: str | None) -> list[tuple[list[Any], Any]]:
    found = []
    for data in _objects(session, label):
        value = data.get_attributes([Attribute.VALUE]).get(Attribute.VALUE, b"")
        text = value[_SEAL_BYTES:]
        if len(value) > _ROW_BYTES_MAX or _hmac(seal, text) != value[:_SEAL_BYTES]:
            raise Tampered("an object of the token was changed since it was written: restore the token from a copy")
        found.append((json.loads(text), data))  # the seal holds, so it is as we wrote it
    return found


def _write(session: Any, label: str, content: list[Any]) -> Any:
    text = json.dumps(content, ensure_ascii=False).encode()
    value = _hmac(_seal_key(session), text) + text
    if len(value) > _ROW_BYTES_MAX:
        raise TokenError("what is to be kept of this key is too long: take a shorter name")
    return _create(session, label, value)


def _create(session: Any, label: str, value: bytes, application: str = APPLICATION) -> Any:
    return session.create_object({
        Attribute.CLASS: ObjectClass.DATA,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.APPLICATION: application,
        Attribute.LABEL: label,
        Attribute.VALUE: value,
    })  # fmt: skip


def _hmac(seal: Any, text: bytes) -> bytes:
    mac: bytes = seal.sign(text, mechanism=Mechanism.SHA256_HMAC)
    return mac


def _seal_keys(session: Any) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.ID: SEAL_ID}))


def _seal_key(session: Any) -> Any:
    found = _seal_keys(session)
    if len(found) != 1:
        raise TokenError("this token is none of ours, or not set up: `ykt keys token init`")
    return found[0]
