"""A parameter set is taken whole or refused under the name of what is wrong with it."""

import unittest

from support import sets
from tunion import cbor
from tunion.record import BadInput
from tunion.wire import limits, manifest
from tunion.wire import params as wire
from tunion.wire.limits import SET_BYTES

PORTABLE = True


def refusal(**parts):
    """What `decode` says of a payload with changed parts: header fields, sections, samples."""
    made = sets.sections()
    head = sets.header()
    samples = parts.pop("samples", None)
    for name in parts:
        if name in wire.SECTIONS:
            made[name] = parts[name]
        else:
            head[name] = parts[name]
    if samples is None:
        samples = wire.samples_of(wire.fare_of(sets.sections()), sets.sections()["KIND"][1])
    names = ("name", "version", "scope", "created_s", "effective_at_s", "expires_at_s")
    try:
        wire.decode(cbor.encode([wire.LAYOUT] + [head[name] for name in names] + [samples, made]))
    except wire.BadParams as problem:
        return str(problem)
    return ""


class Sets(unittest.TestCase):
    def test_a_good_set_gives_what_the_tap_path_needs(self):
        found = wire.decode(sets.payload(version=7, fare_fen=300))
        self.assertEqual((found.version, found.scope, found.fare.version), (7, sets.SCOPE, 7))
        self.assertEqual([found.fare.price(kind).amount_fen for kind in (1, 2, 3)], [300, 210, 150])
        self.assertEqual((found.home_issuers, found.issuers), ([sets.HOME], [sets.HOME, sets.FOREIGN]))
        self.assertEqual(found.tunables["same_card_s"], 5)
        self.assertEqual(found.days, {20251001: wire.HOLIDAY, 20251011: wire.WORKDAY})
        self.assertEqual(refusal(), "")

    def test_samples_cover_each_kind_with_a_discount_and_one_without(self):
        made = sets.sections()
        samples = wire.samples_of(wire.fare_of(made), made["KIND"][1])
        self.assertEqual(samples, [[0, 250, 0, 250], [2, 250, 75, 175], [3, 250, 125, 125]])
        self.assertEqual(wire.samples_of(wire.fare_of(sets.sections(KIND=[1, [[0, 100]]])), [[0, 100]])[1][0], 1)

    def test_a_price_that_this_firmware_computes_differently_is_refused(self):
        samples = [[0, 250, 0, 250], [2, 250, 75, 175], [3, 250, 125, 125]]
        for at in range(3):
            for field in (1, 2, 3):
                other = [list(sample) for sample in samples]
                other[at][field] += 1
                self.assertIn("card kind %d" % samples[at][0], refusal(samples=other))
        self.assertIn("no sample price of card kind 2", refusal(samples=[samples[0], samples[2]]))
        self.assertIn("no sample price of card kind 0", refusal(samples=[]))
        self.assertEqual(refusal(samples=samples + [[9, 250, 0, 250]]), "")

    def test_each_bad_part_is_refused_under_its_name(self):
        for part, value, word in (
            ("name", "", "name"),
            ("name", "x" * 33, "name"),
            ("scope", "A/B", "scope"),
            ("scope", "", "scope"),
            ("scope", 7, "scope"),
            ("version", 0, "version"),
            ("version", 1 << 32, "version"),
            ("version", True, "version"),
            ("created_s", -1, "times"),
            ("expires_at_s", sets.EFFECTIVE_S, "expires"),
            ("FARE", [2, [1, 0]], "FARE"),
            ("FARE", [2, [1]], "FARE"),
            ("FARE", [0, [1, 250]], "FARE"),
            ("FARE", [0x10000, [1, 250]], "FARE"),
            ("FARE", [2, [0x10000, 250]], "FARE"),
            ("FARE", [2, [1, 250], 3], "FARE"),
            ("KIND", [1, [[2, 300], [2, 400]]], "KIND"),
            ("KIND", [1, [[3, 300], [2, 400]]], "KIND"),
            ("KIND", [1, [[2, 1000]]], "KIND"),
            ("KIND", [1, [[2]]], "KIND"),
            ("KIND", [1, [["2", 300]]], "KIND"),
            ("KIND", [1, [[kind, 100] for kind in range(33)]], "KIND"),
            ("CAL", [1, [[20250230, 1]]], "CAL"),
            ("CAL", [1, [[20251001, 3]]], "CAL"),
            ("CAL", [1, [[20251002, 1], [20251001, 1]]], "CAL"),
            ("CAL", [1, {}], "CAL"),
            ("BIN", [1, [sets.HOME]], "BIN"),
            ("BIN", [1, [b"123", b""]], "BIN"),
            ("BIN", [1, [sets.HOME + sets.HOME, b""]], "BIN"),
            ("BIN", [1, [b"", bytes(4 * 513)]], "BIN"),
            ("DEV", [1, {}], "DEV"),
            ("DEV", [1, {"volume": 3}], "DEV"),
            ("DEV", 5, "DEV"),
        ):
            with self.subTest(part=part, value=value):
                self.assertIn(word, refusal(**{part: value}))

    def test_each_tunable_has_its_range(self):
        for name in limits.DEV:
            low, high = limits.DEV[name]
            for value, good in ((low, True), (high, True), (low - 1, False), (high + 1, False), ("1", False)):
                tunables = dict(sets.TUNABLES)
                tunables[name] = value
                said = refusal(DEV=[1, tunables])
                self.assertEqual(said == "", good)
                self.assertTrue(good or name in said)

    def test_sections_are_all_there_and_no_others(self):
        for missing in wire.SECTIONS:
            made = sets.sections()
            del made[missing]
            with self.assertRaises(wire.BadParams):
                wire.encode(sets.header(), [], made)
        made = sets.sections()
        made["GIFT"] = [1, []]
        with self.assertRaises(wire.BadParams):
            wire.encode(sets.header(), [], made)

    def test_what_is_no_set_is_refused(self):
        good = sets.payload()
        for bad in (b"", b"\x80", b"\xa0", cbor.encode([2] + cbor.decode(good)[1:]), cbor.encode([1]), good + b"\x00"):
            with self.subTest(bad=bad[:4]), self.assertRaises(BadInput):
                wire.decode(bad)
        for size in range(len(good)):
            with self.assertRaises(BadInput):
                wire.decode(good[:size])

    def test_the_largest_set_fits_a_bank(self):
        issuers = [bytes((2, 0, at >> 8, at & 255)) for at in range(limits.ISSUERS_MAX)]
        made = sets.sections(
            BIN=[0xFFFF, [b"".join(issuers), b"".join(issuers)]],
            CAL=[0xFFFF, [[20250000 + 100 * month + day, 2] for month in range(1, 5) for day in range(1, 29)]],
            KIND=[0xFFFF, [[kind, 500] for kind in range(100, 100 + wire.KINDS_MAX)]],
        )
        samples = wire.samples_of(wire.fare_of(made), made["KIND"][1])
        blob = sets.sealed(wire.encode(sets.header(), samples, made))
        self.assertTrue(len(blob) <= SET_BYTES)


class Manifests(unittest.TestCase):
    ENTRY = manifest.Entry(manifest.PARAMS, 2, 700, bytes(32), sets.EFFECTIVE_S, 0)

    def test_a_manifest_round_trips(self):
        blob = manifest.encode(9, [self.ENTRY, self.ENTRY])
        self.assertEqual(manifest.decode(blob), (9, [self.ENTRY, self.ENTRY]))
        self.assertEqual(manifest.decode(manifest.encode(9, [])), (9, []))
        delta = manifest.Entry("deny", 8, 700, bytes(32), 5, 7)
        self.assertEqual(manifest.decode(manifest.encode(9, [delta, self.ENTRY])), (9, [delta, self.ENTRY]))

    def test_paths(self):
        self.assertEqual(manifest.manifest_path("A-1"), "/d/v1/manifest?scope=A-1")
        self.assertEqual(manifest.blob_path(b"\x0f" * 32, 2048, 100), "/d/v1/blob/" + "0f" * 32 + "?off=2048&len=100")
        for scope, good in (("A-1_x.9", True), ("", False), ("a b", False), ("a?b", False), ("x" * 33, False)):
            self.assertEqual(limits.is_scope(scope), good)

    def test_other_shapes_are_refused(self):
        row = list(self.ENTRY)
        for bad in (
            [],
            [2, 9, []],
            [1, -1, []],
            [1, 9, {}],
            [1, 9, [row] * 17],
            [1, 9, [row[:4]]],
            [1, 9, [[1] + row[1:]]],
            [1, 9, [row[:3] + [bytes(31)] + row[4:]]],
            [1, 9, [["params", -2] + row[2:]]],
            [1, 9, [["params", 2, True] + row[3:]]],
            [1, 9, [row + [0]]],
            [1, 9, [row[:5] + [-1]]],
        ):
            with self.subTest(bad=bad), self.assertRaises(BadInput):
                manifest.decode(cbor.encode(bad))


if __name__ == "__main__":
    unittest.main()
