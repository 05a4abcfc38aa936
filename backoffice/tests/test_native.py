"""Bulk TAC verdicts: every lane, both widths of vector, against tunion's formulas and the library ciphers."""

import ctypes
import functools
import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backoffice.keys import meter, native
from backoffice.keys.native import PLAIN, BadRows, Native, Resolve, Tag, build, generate
from backoffice.keys.service import TAC_ROW, TacRequest
from backoffice.keys.suites import SUITES
from tunion import bcd
from tunion.crypto import keys
from tunion.record import BadInput

OK, BAD, NO_KEY, UNAVAILABLE = range(4)
ROW = TAC_ROW.size
LANES_MAX = 256
VECTORS = Path(build.ROOT) / "firmware" / "tests" / "vectors" / "card_vectors.json"


@functools.cache
def compiled() -> Path:
    """The library of these sources, whatever `make setup` left behind."""
    if not build.LIBRARY.exists() or native._open(build.LIBRARY)[0] is None:
        build.build()
    return build.LIBRARY


@functools.cache
def library() -> Native:
    opened, reason = native._open(compiled())
    assert opened is not None, reason
    return opened


def variants() -> list[str]:
    return library().variants


def tac_of(key: bytes, card: bytes, message: bytes) -> bytes:
    """By the library ciphers."""
    suite = SUITES["3DES"]
    return suite.tac(suite.diversify(key, card), message)


def tac_by_tunion(key: bytes, card: bytes, message: bytes) -> bytes:
    suite = keys.suite(0)
    return suite.mac(suite.tac_key(suite.diversify(key, card)), message)


def row(
    issuer: bytes, card: bytes, message: bytes, tac: bytes, product: int = 0, algorithm: int = 0, version: int = 1
) -> bytes:
    return TAC_ROW.pack(
        issuer=issuer, card=card, product=product, algorithm=algorithm, version=version, spare=0, message=message,
        tac=tac, spare2=bytes(2),
    )  # fmt: skip


def spoiled(tac: bytes, bit: int) -> bytes:
    return (int.from_bytes(tac, "big") ^ 1 << bit).to_bytes(4, "big")


@functools.cache
def good_rows(count: int, issuers: int = 3, seed: int = 978) -> tuple[tuple[bytes, ...], dict[bytes, bytes]]:
    """Rows that are all true, and the issuers' keys."""
    chance = random.Random(seed)
    values = {chance.randbytes(8): chance.randbytes(16) for _ in range(issuers)}
    rows = []
    for _ in range(count):
        issuer, card, message = chance.choice(list(values)), chance.randbytes(8), chance.randbytes(22)
        rows.append(row(issuer, card, message, tac_of(values[issuer], card, message)))
    return tuple(rows), values


def wrong(one: bytes, bit: int) -> bytes:
    return one[:42] + spoiled(one[42:46], bit) + one[46:]


def by_issuer(values: dict[bytes, bytes]) -> Resolve:
    return lambda tag: values[tag.issuer]


def always(key: bytes | None) -> Resolve:
    return lambda tag: key


def returning(verdicts: bytes) -> Callable[[bytes], bytes]:
    return lambda rows: verdicts


def refuse_all(rows: bytes) -> bytes:
    raise AssertionError("nothing was to go the plain way")


# --- circuits -----------------------------------------------------------------------------------------------------


def test_every_circuit_computes_its_s_box() -> None:
    operations: dict[str, Callable[[int, int], int]] = {
        "^": int.__xor__, "&": int.__and__, "|": int.__or__, "& ~": lambda a, b: a & ~b,
    }  # fmt: skip
    for box in range(8):
        values = {table: table for table in (*generate.INPUTS, generate.ONES)}
        made = generate.gates(box, generate.SEEDS[box])
        for table, first, sign, second in made:
            values[table] = operations[sign](values[first], values[second])  # KeyError: used before it is made
            assert values[table] == table
        assert all(table in values for _, table in generate.outputs(box))
        assert len(made) < 90, "the seed is of another search"


def test_outputs_and_wires_are_those_of_the_standard() -> None:
    """FIPS 46-3: the first and last entries of IP, the subkey of round 1, and where S box 1 goes to by P."""
    assert generate.initial_permutation()[:4] == [57, 49, 41, 33] and generate.initial_permutation()[-1] == 6
    assert sorted(generate.initial_permutation()) == list(range(64))
    assert all(len(set(subkey)) == 48 for subkey in generate.schedule())
    assert generate.schedule()[0][:3] == [9, 50, 33]  # bits 10, 51, 34 of the key
    assert [bit for bit, _ in generate.outputs(0)] == [8, 16, 22, 30]  # P: 9, 17, 23, 31


# --- verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain_purchase", "capp_metro_entry"])
def test_the_published_vectors(name: str) -> None:
    vectors = json.loads(VECTORS.read_text())
    inputs, vector = vectors["inputs"], vectors[name]
    parts = inputs["issuer"], inputs["factor_card"], vector["tac_input"], vector["tac"]
    issuer, card, message, tac = map(bytes.fromhex, parts)
    one = row(issuer, card, message, tac)
    key = bytes.fromhex(vectors["diversify"]["DTK_issuer"])
    for variant in variants():
        verdicts = library().verify_rows(one + wrong(one, 0), always(key), refuse_all, variant)
        assert verdicts == bytes((OK, BAD))


def test_rows_agree_with_tunion() -> None:
    """Two hundred: tunion's own ciphers need milliseconds each."""
    chance = random.Random(20250601)
    for variant in variants():
        rows, expected, values = [], [], {}
        for _ in range(100):
            issuer, card, message = chance.randbytes(8), chance.randbytes(8), chance.randbytes(22)
            values[issuer] = chance.randbytes(16)
            one = row(issuer, card, message, tac_by_tunion(values[issuer], card, message))
            rows += [one, wrong(one, chance.randrange(32))]
            expected += [OK, BAD]
        verdicts = library().verify_rows(b"".join(rows), by_issuer(values), refuse_all, variant)
        assert verdicts == bytes(expected)


def test_thousands_of_rows_agree_with_the_library_ciphers() -> None:
    chance = random.Random(978)
    rows, values = good_rows(4000, issuers=40)
    bits = [chance.randrange(-32, 32) for _ in rows]  # negative: left as it is
    sent = b"".join(wrong(one, bit) if bit >= 0 else one for one, bit in zip(rows, bits, strict=True))
    expected = bytes(BAD if bit >= 0 else OK for bit in bits)
    for variant in variants():
        assert library().verify_rows(sent, by_issuer(values), refuse_all, variant) == expected


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8),
            st.binary(min_size=22, max_size=22), st.integers(-1, 31),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_any_key_card_and_message(cases: list[tuple[bytes, bytes, bytes, int]]) -> None:
    """The issuer's number in the row is the number of its case: keys as odd as Hypothesis likes them."""
    rows = []
    for number, (key, card, message, bit) in enumerate(cases):
        one = row(number.to_bytes(8, "big"), card, message, tac_of(key, card, message))
        rows.append(wrong(one, bit) if bit >= 0 else one)
    expected = bytes(BAD if case[3] >= 0 else OK for case in cases)
    for variant in variants():
        verdicts = library().verify_rows(
            b"".join(rows), lambda tag: cases[int.from_bytes(tag.issuer, "big")][0], refuse_all, variant
        )
        assert verdicts == expected


def test_any_one_bit_of_a_row_or_key_counts_but_for_parity() -> None:
    rows, values = good_rows(1)
    one, key = rows[0], values[rows[0][:8]]
    sent, expected = [], []
    for bit in range(8 * ROW):
        if bit // 8 in (*range(8), *range(16, 20), 46, 47):
            continue  # the tag, and bytes that are 0
        changed = bytearray(one)
        changed[bit // 8] ^= 1 << bit % 8
        sent.append(bytes(changed))
        expected.append(BAD)
    for variant in variants():
        assert library().verify_rows(b"".join(sent), always(key), refuse_all, variant) == bytes(expected)
        for bit in range(128):
            other = bytearray(key)
            other[bit // 8] ^= 1 << bit % 8
            expected_one = OK if bit % 8 == 0 else BAD  # the lowest bit of each byte is parity and no key
            verdict = library().verify_rows(one, always(bytes(other)), refuse_all, variant)
            assert verdict == bytes((expected_one,))


def test_every_lane_has_its_own_verdict() -> None:
    """One wrong row at each place of two groups and a bit, once with each bit of the TAC."""
    rows, values = good_rows(2 * LANES_MAX + 37)
    for variant in variants():
        for place in range(len(rows)):
            sent = b"".join((*rows[:place], wrong(rows[place], place % 32), *rows[place + 1 :]))
            expected = bytearray(len(rows))
            expected[place] = BAD
            assert library().verify_rows(sent, by_issuer(values), refuse_all, variant) == expected


def test_any_count_of_rows_none_and_one_among_them() -> None:
    rows, values = good_rows(2 * LANES_MAX + 37)
    for variant in variants():
        for count in range(len(rows) + 1):
            sent = b"".join(wrong(one, number % 32) if number % 3 else one for number, one in enumerate(rows[:count]))
            verdicts = library().verify_rows(sent, by_issuer(values), refuse_all, variant)
            assert verdicts == bytes(BAD if number % 3 else OK for number in range(count)), count


def test_both_widths_give_the_same_for_noise() -> None:
    if len(variants()) < 2:
        pytest.skip("this processor has one width of vector")
    chance = random.Random(4)
    for count in (1, 127, 128, 129, 5000):
        noise = b"".join(
            row(bytes(8), chance.randbytes(8), chance.randbytes(22), chance.randbytes(4)) for _ in range(count)
        )
        key = chance.randbytes(16)
        made = [library().verify_rows(noise, always(key), refuse_all, variant) for variant in variants()]
        assert made[0] == made[1]


# --- tags ---------------------------------------------------------------------------------------------------------


def test_a_tag_is_asked_for_once_and_told_apart_by_every_part_of_it() -> None:
    issuer, card, message = bytes(8), bytes(8), bytes(22)
    tags = [
        Tag(bytes((number,)) + bytes(7), product, 0, version)
        for number in range(3) for product in (0, 1, 15) for version in (0, 1, 255)
    ]  # fmt: skip
    tags += [Tag(bytes(7) + b"\x01", 0, 0, 1), Tag(b"\x01" + bytes(7), 0, 0, 2)]
    values = {tag: random.Random(repr(tag)).randbytes(16) for tag in tags}
    rows = [
        row(tag.issuer, card, message, tac_of(key, card, message), tag.product, tag.algorithm, tag.version)
        for tag, key in values.items()
    ]
    asked: list[Tag] = []

    def resolve(tag: Tag) -> bytes:
        asked.append(tag)
        return values[tag]

    assert library().verify_rows(b"".join(rows * 9), resolve, refuse_all) == bytes(9 * len(rows))
    assert asked == tags
    assert issuer == tags[0].issuer


def test_thousands_of_invented_issuers() -> None:
    """More tags than the table begins with, most without a key."""
    chance = random.Random(7)
    rows, values = good_rows(50)
    sent, expected = [], []
    strangers = set()
    for number in range(20000):
        stranger = (number << 40).to_bytes(8, "big")  # alike in their low bits
        strangers.add(stranger)
        sent.append(row(stranger, chance.randbytes(8), bytes(22), bytes(4)))
        expected.append(NO_KEY)
        if number % 400 == 0:
            sent.append(rows[number // 400])
            expected.append(OK)
    asked: list[bytes] = []

    def resolve(tag: Tag) -> bytes | None:
        asked.append(tag.issuer)
        return values.get(tag.issuer)

    assert library().verify_rows(b"".join(sent), resolve, refuse_all) == bytes(expected)
    assert len(asked) == len(set(asked)) and set(asked) == strangers | set(values)


def test_other_algorithms_and_tags_set_aside_go_the_plain_way_in_their_order() -> None:
    chance = random.Random(5)
    rows, values = good_rows(700)
    aside = chance.randbytes(8)
    sent, expected, plain_rows = [], [], []
    for number, one in enumerate(rows):
        sent.append(one)
        expected.append(OK)
        if number % 3 == 0:
            algorithm = chance.choice((0, 1, 4, 255))
            other = row(aside, chance.randbytes(8), bytes(22), bytes(4), algorithm=algorithm)
            sent.append(other)
            plain_rows.append(other)
            expected.append(other[8] % 4)
    seen: list[bytes] = []

    def plain(some: bytes) -> bytes:
        seen.append(some)
        return bytes(some[at + 8] % 4 for at in range(0, len(some), ROW))

    def resolve(tag: Tag) -> Any:
        assert tag.algorithm == 0
        return PLAIN if tag.issuer == aside else values[tag.issuer]

    for variant in variants():
        assert library().verify_rows(b"".join(sent), resolve, plain, variant) == bytes(expected)
    assert seen == [b"".join(plain_rows)] * len(variants())


def test_a_plain_path_that_answers_too_little_is_our_bug() -> None:
    one = row(bytes(8), bytes(8), bytes(22), bytes(4), algorithm=4)
    for answer in (b"", b"\0\0", b"\x04", b"\xfe", b"\xff"):
        with pytest.raises(AssertionError):
            library().verify_rows(one, always(None), returning(answer))


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_buffer_cut_short_is_refused_whatever_is_missing() -> None:
    rows, values = good_rows(3)
    sent = b"".join(rows)
    for verify in (library().verify_rows, native.verify_rows):
        for size in range(1, len(sent)):
            if size % ROW:
                with pytest.raises(BadRows, match="whole rows of 48"):
                    verify(sent[:size], by_issuer(values), refuse_all)


def test_a_row_of_another_form_is_refused_by_its_number() -> None:
    rows, values = good_rows(5)
    for offset in (19, 46, 47):
        sent = bytearray(b"".join(rows))
        sent[3 * ROW + offset] = 1
        with pytest.raises(BadRows, match=f"row 3: its byte {offset} is not 0"):
            native.verify_rows(bytes(sent), by_issuer(values), refuse_all)


def test_rows_that_may_change_meanwhile_are_refused() -> None:
    for rows in (bytearray(ROW), memoryview(bytes(ROW))):
        with pytest.raises(BadRows, match="come as bytes"):
            library().verify_rows(rows, always(None), refuse_all)  # type: ignore[arg-type]


def test_a_key_of_another_length_is_our_bug() -> None:
    rows, _ = good_rows(1)
    for size in (0, 8, 15, 17, 32):
        with pytest.raises(ValueError, match="16 bytes"):
            library().verify_rows(rows[0], always(bytes(size)), refuse_all)


# --- keys in memory, threads --------------------------------------------------------------------------------------


class Watched:
    """The library, and what its key buffers held when verdicts were made and when they were wiped."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(compiled()))
        for name in ("tac_tags", "tac_variants", "tac_stamp", "tac_count"):
            setattr(self, name, getattr(self._library, name))
        self.buffers: list[Any] = []
        self.held: list[bytes] = []
        self.tac_verify = self._watch(self._library.tac_verify, 5)
        self.tac_wipe = self._watch(self._library.tac_wipe, 0)

    def _watch(self, function: Any, argument: int) -> Any:
        def call(*arguments: Any) -> Any:
            self.buffers.append(arguments[argument])
            self.held.append(bytes(arguments[argument]))
            return function(*arguments)

        return call


def test_keys_are_wiped_from_the_buffer_also_where_a_key_is_not_to_be_had() -> None:
    rows, values = good_rows(40)
    watched = Watched()
    opened = Native(watched)  # type: ignore[arg-type]
    sent = b"".join(rows)
    assert opened.verify_rows(sent, by_issuer(values), refuse_all) == bytes(40)
    assert any(key in watched.held[0] for key in values.values())
    assert all(bytes(buffer) == bytes(len(buffer)) for buffer in watched.buffers)

    watched.buffers.clear()
    left = list(values.values())[:2]
    with pytest.raises(IndexError):
        opened.verify_rows(sent, lambda tag: left.pop(), refuse_all)
    assert len(watched.buffers) == 1 and bytes(watched.buffers[0]) == bytes(16 * 3)


# Lanes full of keys go through the library named by the first argument, then the process looks for a bit of all of them
# at once, as the lanes hold it, in all it may write to. What it looks for it knows as its complement only.
LOOK_FOR_KEYS = """
import random, re, sys
from pathlib import Path
from backoffice.keys import native
from backoffice.keys.suites import SUITES
from tunion.crypto.keys import TripleDesSuite

library, reason = native._open(Path(sys.argv[1]))
assert library is not None, reason
chance = random.Random(11)
keys = [chance.randbytes(16) for _ in range(512)]
cards = [chance.randbytes(8) for _ in keys]
singles = [TripleDesSuite().tac_key(SUITES["3DES"].diversify(key, card)) for key, card in zip(keys, cards)]
rows = b"".join(n.to_bytes(8, "big") + cards[n] + bytes(32) for n in range(512))

def complements(values, bit):
    bits = "".join("10"[value[bit // 8] >> 7 - bit % 8 & 1] for value in values)
    words = [int(bits[at : at + 64], 2) for at in range(0, len(bits), 64)]
    return b"".join(word.to_bytes(8, sys.byteorder) for word in words)

for variant, lanes in (("portable", 128), ("avx2", 256)):
    if variant not in library.variants:
        continue
    library.verify_rows(rows, lambda tag: keys[int.from_bytes(tag.issuer, "big")], bytes, variant)
    memory = bytearray()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as mem:
        for line in maps.read().splitlines():
            found = re.match("([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[vvar]" not in line:
                low, high = (int(text, 16) for text in found.groups())
                mem.seek(low)
                memory += mem.read(high - low) or b""
    flipped = bytes(memory).translate(bytes(range(255, -1, -1)))
    del memory
    hits = 0
    for start in range(0, 512, lanes):
        for values in (keys, singles):
            for bit in range(64):
                if bit % 8 != 7:
                    hits += complements(values[start : start + lanes], bit) in flipped
    print(variant, "hits" if hits else "clean")
"""


def looked_for_keys(path: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK_FOR_KEYS, str(path)], cwd=build.ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines())


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system does not show a process its memory")
def test_no_key_stays_in_the_lanes_or_on_the_stack(tmp_path: Path) -> None:
    assert looked_for_keys(compiled()) == {f"{variant} clean" for variant in variants()}
    # and what looks for them finds them where nothing wipes
    sources = tmp_path / "native"
    shutil.copytree(build.HERE, sources, ignore=shutil.ignore_patterns("__pycache__"))
    text = (sources / "tac.c").read_text()
    (sources / "tac.c").write_text(text.replace("memset(at, 0, size);", "(void)at, (void)size;"))
    build.build(tmp_path / "unwiped.so", sources=sources)
    assert looked_for_keys(tmp_path / "unwiped.so") == {f"{variant} hits" for variant in variants()}


def test_threads_do_not_disturb_each_other() -> None:
    rows, values = good_rows(2 * LANES_MAX + 37)

    def work(number: int) -> bool:
        chance = random.Random(number)
        variant = variants()[number % len(variants())]
        for _ in range(20):
            order = chance.sample(range(len(rows)), chance.randrange(len(rows)))
            bits = [chance.randrange(-32, 32) for _ in order]
            pairs = zip(order, bits, strict=True)
            sent = b"".join(wrong(rows[place], bit) if bit >= 0 else rows[place] for place, bit in pairs)
            expected = bytes(BAD if bit >= 0 else OK for bit in bits)
            if library().verify_rows(sent, by_issuer(values), refuse_all, variant) != expected:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(24)))


# --- the built file -----------------------------------------------------------------------------------------------


def test_a_library_of_other_sources_is_not_used(tmp_path: Path) -> None:
    """Whole, and good but for what it says it was made from."""
    content = compiled().read_bytes()[: -2 * build.HASH_DIGITS] + b"0" * build.HASH_DIGITS
    stale = tmp_path / "stale.so"
    stale.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    assert native._open(stale) == (None, "stale.so is not made from these sources: run `make setup`")


def test_a_missing_or_damaged_library_is_not_even_loaded(tmp_path: Path) -> None:
    """glibc's loader ends the process where a file is shorter than it says."""
    assert native._open(tmp_path / "none.so") == (None, "none.so is not built: run `make setup`")
    assert native._open(tmp_path) == (None, f"{tmp_path.name} cannot be read (IsADirectoryError): run `make setup`")
    whole = compiled().read_bytes()
    chance = random.Random(9)
    for size in (0, 1, 64, 128, 4000, len(whole) - 1):
        (tmp_path / "cut.so").write_bytes(whole[:size])
        assert native._open(tmp_path / "cut.so") == (None, "cut.so is damaged: run `make setup`")
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        (tmp_path / "bit.so").write_bytes(damaged)
        assert native._open(tmp_path / "bit.so") == (None, "bit.so is damaged: run `make setup`")


def test_a_whole_file_that_is_no_library_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_bytes(build.sealed(b"no library"))
    assert native._open(tmp_path / "text.so") == (None, "text.so does not load (OSError): run `make setup`")


def test_a_library_with_a_gate_changed_fails_the_published_vector(tmp_path: Path) -> None:
    """Built from sources whose S box 1 has one gate of another kind, yet carrying our hash."""
    text = generate.as_c()
    at = text.index(" ^ ", text.index("static inline void box1"))
    broken = tmp_path / "broken.so"
    build.build(broken, wires=text[:at] + " | " + text[at + 3 :])
    opened, reason = native._open(broken)
    assert opened is None and "fails the published vector" in reason


def test_every_source_counts_for_the_hash(tmp_path: Path) -> None:
    """A copy of the folder, each file of it changed by one letter."""
    package = tmp_path / "native"
    shutil.copytree(build.HERE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = build.source_hash(package)
    assert before == build.source_hash()
    for name in (*build.UNITS, *build.HEADERS, "generate.py", "build.py"):
        file = package / name
        content = file.read_text()
        file.write_text(content + "\n")
        assert build.source_hash(package) != before, name
        file.write_text(content)


def test_without_a_library_all_rows_go_the_plain_way(tmp_path: Path) -> None:
    """In a process whose library is elsewhere: verdicts come from the plain path, the reason is logged once."""
    program = """
import logging, sys
from pathlib import Path
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from backoffice.keys import native
native.build.LIBRARY = Path(sys.argv[1])
for _ in range(3):
    print(list(native.verify_rows(bytes(96), lambda tag: None, lambda rows: bytes((1, len(rows) // 48)))))
print(native.state())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "none.so")], cwd=build.ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    reason = "none.so is not built: run `make setup`"
    assert done.stdout.splitlines() == [f"TAC verdicts go the slow way: {reason}", *["[1, 2]"] * 3, reason]


# --- packing ------------------------------------------------------------------------------------------------------


def request(chance: random.Random) -> TacRequest:
    return TacRequest(
        issuer=chance.randbytes(8),
        card=chance.randbytes(10),
        algorithm=chance.randrange(256),
        amount_fen=chance.randrange(1 << 32),
        type=chance.randrange(256),
        terminal=chance.randbytes(6),
        terminal_seq=chance.randrange(1 << 32),
        at_s=chance.randrange(1 << 32),
        tac=chance.randbytes(4),
        product=chance.randrange(16),
        version=chance.randrange(256),
    )


def packed_slowly(one: TacRequest) -> bytes:
    message = keys.PURCHASE_TAC.pack(
        amount_fen=one.amount_fen, type=one.type, terminal=one.terminal, terminal_seq=one.terminal_seq,
        at=bcd.stamp(one.at_s),
    )  # fmt: skip
    return row(one.issuer, one.card[2:], message, one.tac, one.product, one.algorithm, one.version)


def test_rows_are_packed_as_the_record_says() -> None:
    chance = random.Random(48)
    requests = [request(chance) for _ in range(3000)]
    expected = b"".join(map(packed_slowly, requests))
    assert native.pack_rows(requests, library()) == expected
    assert native.pack_rows(requests, None) == expected
    assert native.pack_rows([], library()) == native.pack_rows([], None) == b""


def test_dates_are_tunions_over_the_whole_range() -> None:
    """Seconds around each midnight of all the years that 32 bits hold, steps of 10 days, ends included."""
    base = request(random.Random(1))
    seconds = [0, (1 << 32) - 1]
    for day in range(0, (1 << 32) // 86400 - 1, 10):
        seconds += [86400 * day - 8 * 3600 + shift for shift in (-1, 0, 1) if 86400 * day - 8 * 3600 + shift >= 0]
    for year in range(1970, 2106):
        seconds += [bcd.at_s(bytes.fromhex(f"{year}0228235959")) + shift for shift in (0, 1, 86401)]
    requests = [base._replace(at_s=at_s) for at_s in seconds]
    rows = native.pack_rows(requests, library())
    for number, one in enumerate(requests):
        assert rows[ROW * number + 35 : ROW * number + 42] == bcd.stamp(one.at_s), one.at_s


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": bytes(7)}, {"issuer": bytes(9)}, {"card": bytes(8)}, {"card": bytes(11)}, {"terminal": bytes(5)},
        {"tac": bytes(3)}, {"tac": bytes(5)}, {"amount_fen": -1}, {"amount_fen": 1 << 32}, {"type": 256},
        {"terminal_seq": -1}, {"at_s": 1 << 32}, {"at_s": -1}, {"product": 256}, {"version": 256}, {"algorithm": -1},
    ],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    good = request(random.Random(2))
    for opened in (library(), None):
        with pytest.raises(BadInput):
            native.pack_rows([good, good._replace(**change)], opened)


# --- counts of cards ----------------------------------------------------------------------------------------------


def rows_of(cards: list[bytes]) -> bytes:
    return b"".join(row(bytes(8), card, bytes(22), bytes(4)) for card in cards)


def test_a_card_is_told_once_when_it_comes_too_often() -> None:
    """The same in C and in Python, however the rows are spread over calls; both count exactly while cards are few."""
    chance = random.Random(1000)
    most = meter.CARD_CHECKS_MAX
    often = [bytes((number,)) + bytes(7) for number in range(5)]
    cards = [card for card in often for _ in range(most + 1)]
    cards += [bytes(7) + bytes((number,)) for number in range(100) for _ in range(most // 100)]
    cards += [b"\xff" * 8] * most  # one short of too often
    chance.shuffle(cards)
    for counts in (library().cards_over(most), meter._Counts()):
        told, at = 0, 0
        while at < len(cards):
            size = chance.randrange(1, 700)
            told += counts.add(rows_of(cards[at : at + size]))
            at += size
        assert told == len(often)
        assert counts.add(rows_of([b"\xff" * 8])) == 1
        assert counts.add(rows_of([b"\xff" * 8, often[0]] * 70_000)) == 0  # told, past where a counter ends


def test_many_cards_do_not_make_one_suspect() -> None:
    """100 000 cards, alike but for a few digits, six for each of 16 384 counters: nobody seems to have come more than 6
    times. Without the smallest of four, or if all four grew, hundreds would."""
    counts = library().cards_over(6, 1 << 14)
    blank = bytearray(row(bytes(8), bytes(8), bytes(22), bytes(4)) * 100_000)
    for digit, offset in ((1, 15), (100, 14), (10_000, 13)):
        blank[offset::ROW] = bytes(bcd.pair(number // digit % 100) for number in range(100_000))
    assert counts.add(bytes(blank)) == 0
    assert counts.add(rows_of([b"guessing"] * 7)) == 1


def test_counts_refuse_what_is_no_row() -> None:
    with pytest.raises(BadRows):
        library().cards_over(10).add(bytes(47))
