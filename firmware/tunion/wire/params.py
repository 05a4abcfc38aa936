"""A parameter set: what a fleet charges, whom it accepts, how its taps behave. One signed blob, one version.

    blob      COSE_Sign1 (tunion.cose_sign1) over the payload, external AAD "params"
    payload   [layout, name, version, scope, created_s, effective_at_s, expires_at_s, samples[], sections{}]
    samples   [[kind, list_fen, discount_fen, amount_fen], ...]: prices as the office computed them; of a tariff
              those of tunion.fare.samples
    sections  name -> [version, content], all of SECTIONS, and RULE exactly where FARE is a tariff:

        FARE  [fare_id, fare_fen]                 the flat table; its version is the one that each tap names
              [fare_id, scheme, mode, table]      or a tariff (tunion.fare.tariff): fen, a grid's blob, or a meter
        RULE  {name: value}                       a tariff's rules, all of tunion.fare.tariff.RULES
        KIND  [[card kind, permille], ...]        discounts; kinds grow
        CAL   [[YYYYMMDD, day type], ...]         days that are not what the week says; days grow
        BIN   [home, accepted]                    issuer identifiers, 4 bytes each, in a row, growing
        DEV   {name: number}                      tunables of the tap path, all of DEV

Every byte and why: firmware/docs/params.md.
"""

from collections import namedtuple

from tunion import bcd, cbor
from tunion.compat import const
from tunion.fare.flat import FlatFare
from tunion.fare.when import HOLIDAY, WORKDAY
from tunion.record import BadInput, is_int
from tunion.wire.limits import DEV, ISSUERS_MAX, NAME_MAX, SET_BYTES, is_scope
from tunion.wire.refused import (
    BAD_CONTENT,
    BAD_HASH,
    BAD_SIGNATURE,
    DOWNGRADE,
    EXPIRED,
    FOREIGN_SCOPE,
    TAKES_NO_CARD,
    UNREADABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from tunion.fare.tariff import Tariff
    from tunion.record import Bytes
    from tunion.window import Window

LAYOUT = const(1)
AAD = b"params"
SAMPLES_MAX = const(40)
KINDS_MAX = const(32)
_STEP_DAYS = const(32)  # checked between two yields; a day takes 50 thousand instructions
DAYS_MAX = const(128)  # named days; a year of the state council's calendar has some 35

TOO_LARGE = const(9)  # beyond those of tunion.wire.refused

SECTIONS = ("BIN", "CAL", "DEV", "FARE", "KIND")
RULE = "RULE"

# Why a device does not take a set, or left it: number -> (name for programs, 中文, English)
WORDS = {
    BAD_HASH: ("bad_hash", "参数包校验失败", "what was downloaded is not what the manifest names"),
    BAD_SIGNATURE: ("bad_signature", "参数包签名无效", "the signature is wrong, or of a key not given to the device"),
    BAD_CONTENT: ("bad_content", "参数内容无效", "a section is malformed, or a sample price comes out differently"),
    FOREIGN_SCOPE: ("foreign_scope", "参数不属于本单位", "the set is for another scope"),
    DOWNGRADE: ("downgrade", "参数版本过低", "the version is no higher than one that was active"),
    EXPIRED: ("expired", "参数已过期", "the set expired before it became active"),
    TAKES_NO_CARD: ("takes_no_card", "新参数下无卡成功交易", "cards came, and none could pay under the new set"),
    TOO_LARGE: ("too_large", "参数包超出设备容量", "the set is larger than this device's params.set_bytes_max"),
    UNREADABLE: ("unreadable", "参数存储损坏", "the flash does not give back what was stored"),
}

_U32 = 0xFFFFFFFF

Section = namedtuple("Section", ("version", "content"))

# `sections` maps names to Section; what the tap path needs of them is made: fare, home_issuers, issuers, tunables.
ParamSet = namedtuple(
    "ParamSet",
    (
        "name",
        "version",
        "scope",
        "created_s",
        "effective_at_s",
        "expires_at_s",
        "samples",
        "sections",
        "fare",
        "days",
        "home_issuers",
        "issuers",
        "tunables",
    ),
)


class BadParams(BadInput):
    """A parameter set that no device takes. The message names the section; build a new version."""


def encode(header: "dict[str, Any]", samples: "list[Any]", sections: "dict[str, Any]") -> bytes:
    """The payload; raises BadParams where `decode` would not take it.

    header    name, version, scope, created_s, effective_at_s, expires_at_s
    sections  name -> (version, content)
    """
    names = ("name", "version", "scope", "created_s", "effective_at_s", "expires_at_s")
    payload = cbor.encode([LAYOUT] + [header[name] for name in names] + [samples, sections])
    decode(payload, RULE in sections)
    return payload


def decode(payload: "Bytes | Window", tariffs: bool = False) -> ParamSet:
    """A set whose every section is well-formed and whose sample prices the fare code here agrees with.

    payload  a window: its grid is read in place
    tariffs  whether the caller charges more than flat fares; who does not, refuses a tariff
    raises   BadParams, naming what is wrong; BadCbor for what is no CBOR
    """
    found: ParamSet = _finished(decoding(payload, tariffs))
    return found


def decoding(payload: "Bytes | Window", tariffs: bool = False) -> "Generator[None, None, ParamSet]":
    """`decode`, a little between two yields. A set of flat fares in RAM is decoded in one go."""
    if isinstance(payload, (bytes, bytearray, memoryview)):
        fields = cbor.decode(payload)
    else:
        from tunion.wire.tariffs import fields as read_fields  # only who charges tariffs has such windows

        fields = yield from read_fields(payload)
    if not isinstance(fields, list) or not fields or fields[0] != LAYOUT or fields[0] is True:
        raise BadParams("not a parameter set of layout %d" % LAYOUT)
    if len(fields) != 9:
        raise BadParams("a parameter set has 9 parts")
    _, name, version, scope, created_s, effective_at_s, expires_at_s, samples, sections = fields
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
        raise BadParams("a set's name is a text of 1 to %d characters" % NAME_MAX)
    if not isinstance(scope, str) or not is_scope(scope):
        raise BadParams("a scope has 1 to %d letters, digits, '-', '_' or '.'" % NAME_MAX)
    for number in (version, created_s, effective_at_s, expires_at_s):
        if not _within(number, 0, _U32):
            raise BadParams("version and times are numbers of 32 bits")
    if version == 0:
        raise BadParams("versions begin with 1; 0 is what the device was provisioned with")
    if effective_at_s >= expires_at_s:
        raise BadParams("the set expires before it becomes effective")
    found = _sections(sections, tariffs)
    days = yield from _days(found["CAL"].content)
    fare: FlatFare | Tariff
    if RULE in found:
        if samples is None:
            raise BadParams("a set carries sample prices")
        yield
        fare = yield from _tariff(found, days, samples, len(payload))
        yield
    else:
        fare = _fare(found["FARE"], found["KIND"])
        _check_samples(samples, fare, found["KIND"].content)
    home, issuers = _issuers(found["BIN"].content)
    return ParamSet(
        name,
        version,
        scope,
        created_s,
        effective_at_s,
        expires_at_s,
        samples,
        found,
        fare,
        days,
        home,
        issuers,
        _tunables(found["DEV"].content),
    )


def samples_of(fare: FlatFare, kinds: "list[Any]") -> "list[list[int]]":
    """A price for each kind with a discount and one for a kind without: what a set must carry, kinds growing."""
    named = [pair[0] for pair in kinds]
    other = 0
    while other in named:
        other += 1
    return [[kind] + list(fare.price(kind)) for kind in sorted(named + [other])]


def fare_of(sections: "dict[str, Any]") -> FlatFare:
    """The fare table of FARE and KIND, given as (version, content). Raises BadParams."""
    return _fare(Section(*sections["FARE"]), Section(*sections["KIND"]))


def tariff_of(sections: "dict[str, Any]") -> "Tariff":
    """The tariff of FARE, KIND, CAL and RULE, given as (version, content). Raises BadParams."""
    found = {name: Section(*sections[name]) for name in ("FARE", "KIND", "CAL", RULE)}
    made: Tariff = _finished(_tariff(found, _finished(_days(found["CAL"].content)), None, 0))
    return made


def _finished(steps: "Generator[None, None, Any]") -> "Any":
    """What the steps return, all taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _sections(sections: "Any", tariffs: bool) -> "dict[str, Section]":
    names = list(SECTIONS)
    if isinstance(sections, dict) and RULE in sections:
        if not tariffs:
            raise BadParams("FARE is a tariff; this device charges flat fares only")
        names.append(RULE)
    if not isinstance(sections, dict) or sorted(sections, key=str) != names:
        raise BadParams("a set has the sections %s" % ", ".join(SECTIONS))
    found = {}
    for name in names:
        pair = sections[name]
        if not isinstance(pair, list) or len(pair) != 2 or not _within(pair[0], 1, 0xFFFF):
            raise BadParams("%s is [version, content], its version 1 to 65535" % name)
        found[name] = Section(pair[0], pair[1])
    return found


def _fare(fare: Section, kind: Section) -> FlatFare:
    if not isinstance(fare.content, list) or len(fare.content) != 2:
        raise BadParams("FARE is [fare_id, fare_fen]")
    fare_id, fare_fen = fare.content
    try:
        return FlatFare(fare_id, fare.version, fare_fen, _kinds(kind.content))
    except BadInput as problem:
        raise BadParams("FARE or KIND: %s" % problem)


def _tariff(
    found: "dict[str, Section]", days: "dict[int, int]", samples: "Any", total_bytes: int
) -> "Generator[None, None, Tariff]":
    """`samples` None: not checked, they are about to be made. `total_bytes` of the payload, its grid among them."""
    from tunion.wire import tariffs  # here: a bus of flat fares has no room to spare for it

    fare = found["FARE"]
    if total_bytes - tariffs.grid_bytes(fare.content) > SET_BYTES:
        raise BadParams("a set has at most %d bytes beside its grid" % SET_BYTES)
    try:
        tariff = tariffs.tariff_of(fare.version, fare.content, found[RULE].content, _kinds(found["KIND"].content), days)
        yield from tariffs.checking(tariff, samples)
    except BadInput as problem:
        raise BadParams("FARE, KIND, CAL or RULE: %s" % problem)
    return tariff


def _kinds(pairs: "Any") -> "dict[int, int]":
    if not isinstance(pairs, list) or len(pairs) > KINDS_MAX or not _grows(pairs):
        raise BadParams("KIND is at most %d pairs of kind and permille, kinds growing" % KINDS_MAX)
    return dict([(pair[0], pair[1]) for pair in pairs])


def _check_samples(samples: "Any", fare: FlatFare, kinds: "list[Any]") -> None:
    """The prices that the office computed, computed again. All kinds with a discount and one without must be there."""
    if not isinstance(samples, list) or len(samples) > SAMPLES_MAX:
        raise BadParams("a set carries at most %d sample prices" % SAMPLES_MAX)
    missing = [sample[0] for sample in samples_of(fare, kinds)]
    for sample in samples:
        if not isinstance(sample, list) or len(sample) != 4 or not _within(sample[0], 0, 0xFF):
            raise BadParams("a sample price is [kind, list_fen, discount_fen, amount_fen]")
        if sample[1:] != list(fare.price(sample[0])):
            raise BadParams("the sample price of card kind %d is not what this firmware computes" % sample[0])
        if sample[0] in missing:
            missing.remove(sample[0])
    if missing:
        raise BadParams("no sample price of card kind %d" % missing[0])


def _days(days: "Any") -> "Generator[None, None, dict[int, int]]":
    """YYYYMMDD -> day type."""
    if not isinstance(days, list) or len(days) > DAYS_MAX or not _grows(days):
        raise BadParams("CAL is at most %d pairs of day and day type, days growing" % DAYS_MAX)
    for at in range(len(days)):
        if at % _STEP_DAYS == _STEP_DAYS - 1:
            yield
        day, kind = days[at]
        if not _within(day, 0, 99999999) or not bcd.is_date(bcd.from_digits("%08d" % day)):
            raise BadParams("CAL names a day that is none; days are YYYYMMDD")
        if not _within(kind, WORKDAY, HOLIDAY):
            raise BadParams("CAL: a day is 0 workday, 1 weekend or 2 holiday")
    return dict([(day, kind) for day, kind in days])


def _issuers(content: "Any") -> "tuple[list[bytes], list[bytes]]":
    if not isinstance(content, list) or len(content) != 2:
        raise BadParams("BIN is [home issuers, accepted issuers]")
    lists = []
    for row in content:
        if not isinstance(row, bytes) or len(row) % 4 or len(row) > 4 * ISSUERS_MAX:
            raise BadParams("BIN: at most %d issuer identifiers of 4 bytes" % ISSUERS_MAX)
        found = [row[at : at + 4] for at in range(0, len(row), 4)]
        for i in range(1, len(found)):
            if found[i - 1] >= found[i]:
                raise BadParams("BIN: issuer identifiers grow")
        lists.append(found)
    return lists[0], lists[1]


def _tunables(content: "Any") -> "dict[str, int]":
    if not isinstance(content, dict) or sorted(content, key=str) != sorted(DEV):
        raise BadParams("DEV has %s" % ", ".join(sorted(DEV)))
    for name in DEV:
        low, high = DEV[name]
        if not _within(content[name], low, high):
            raise BadParams("DEV.%s takes %d to %d" % (name, low, high))
    return content


def _grows(pairs: "list[Any]") -> bool:
    """Each item is a pair, and their first numbers grow."""
    before = -1
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not is_int(pair[0]) or pair[0] <= before:
            return False
        before = pair[0]
    return True


def _within(value: "Any", low: int, high: int) -> bool:
    return is_int(value) and low <= value <= high
