"""A tariff in a parameter set: taken whole, or refused under the name of what is wrong with it."""

import unittest

from support import sets
from tunion import cbor
from tunion.fare import grid, samples, tariff
from tunion.record import BadInput
from tunion.window import Window
from tunion.wire import params as wire
from tunion.wire import tariffs
from tunion.wire.limits import SET_BYTES

PORTABLE = True
ARM = True
HEAP = "1m"  # the largest grids, as bytes

RIDE = {
    "again_s": 10, "elsewhere": 0, "entry_min_fen": 200, "free_repair_min": 20, "max_minutes": 240,
    "missing_exit": 1, "missing_exit_fen": 0, "overdraft_fen": 0, "overtime_fen": 1100,
    "overtime_mode": 0, "same_free_fen": 0, "same_free_min": 5, "slack_s": 30,
}
RULES = {
    "cut_fen": 1, "hours": [[-1, 7, 0, 420, 500], [2, 4, 0, 1440, 100]], "month": [0, [[0, 50], [15, 400]]],
    "ride": RIDE, "riders_max": 3, "transfer": [90, 0, 1, 1, [[1, 2, 0, 50], [2, 1, 100, 0]]], "visitors": 1,
}
OUT = [[None, 200, 300], [None, None, 200], [None, None, None]]
BACK = [[None, 200, 400], [None, None, 300], [None, None, None]]
LINE = grid.build(grid.ONWARD, [1, 2, 3], [OUT, BACK])


def sections(table=LINE, scheme=tariff.GRID, **changes):
    made = sets.sections(FARE=[2, [7, scheme, 2, table]])
    made["RULE"] = [1, dict(RULES)]
    for name in changes:
        made[name] = changes[name]
    return made


def prices(made):
    return samples.make(wire.tariff_of(made), sets.EFFECTIVE_S)


def window(raw):
    """The bytes as a device sees them in flash, which begins somewhere before."""
    flash = b"before" + bytes(raw) + b"behind"

    def read_into(offset, buffer):
        buffer[:] = flash[offset : offset + len(buffer)]

    return Window(read_into, 6, len(raw))


def payload_of(made, listed):
    """A payload that nobody has checked."""
    head = sets.header()
    names = ("name", "version", "scope", "created_s", "effective_at_s", "expires_at_s")
    return cbor.encode([wire.LAYOUT] + [head[name] for name in names] + [listed, made])


def refusal(made, with_samples=None, taken=True):
    """What `decode` says of sections, from RAM and in place; samples are those of good ones unless given."""
    listed = prices(sections()) if with_samples is None else with_samples
    payload = payload_of(made, listed)
    try:
        wire.decode(payload, taken)
    except wire.BadParams as problem:
        with_window(payload, taken)
        return str(problem)
    if taken:
        wire.decode(window(payload), taken)
    return ""


def with_window(payload, taken):
    """What is no set in RAM is none in place either; the words may differ, where a part is too long to be read."""
    try:
        wire.decode(window(payload), taken)
    except BadInput:
        return
    raise AssertionError("taken in place, refused in RAM")


def blank_grid(places, layers=1, shape=grid.ONWARD):
    """A grid of one price, 200 fen."""
    head = grid.HEAD.pack(magic=b"YKTG", layout=1, shape=shape, places=places, layers=layers, levels=1,
                          reserved=b"\x00\x00")
    cells = places * places if shape == grid.SQUARE else places * (places - 1) // 2
    return head + bytes([0, 0, 0, 200]) + b"".join([bytes([i >> 8, i & 255]) for i in range(places)]) + bytes(
        layers * cells
    )


def large_sections(places):
    return sections(blank_grid(places))


def issuers(count):
    return b"".join([(i + 1).to_bytes(4, "big") for i in range(count)])


def is_taken(payload):
    try:
        wire.decode(payload, True)
    except BadInput:
        return False
    return True


class Sets(unittest.TestCase):
    def test_a_good_tariff_gives_what_the_tap_path_needs(self):
        made = sections()
        found = wire.decode(wire.encode(sets.header(), prices(made), made), True)
        self.assertEqual((found.fare.fare_id, found.fare.version, found.fare.mode), (7, 2, tariff.BUS))
        self.assertEqual(found.fare.list_fen(1, 1, 3), 400)
        self.assertEqual(found.fare.price(400, 2, sets.EFFECTIVE_S).amount_fen, 280)  # KIND: 300 permille
        self.assertTrue(tariff.is_by_stop(found.fare))
        self.assertEqual(found.fare.days, found.days)

    def test_who_charges_flat_fares_only_refuses_it(self):
        self.assertIn("flat fares only", refusal(sections(), taken=False))
        self.assertEqual(refusal(sections()), "")

    def test_a_flat_set_is_as_it_was_for_both(self):
        for taken in (False, True):
            self.assertEqual(wire.decode(sets.payload(), taken).fare.price(2).amount_fen, 175)

    def test_flat_and_metered_tariffs(self):
        rules = dict(RULES, ride={})
        for scheme, table in ((tariff.FLAT, 200), (tariff.METER, [1000, 50000, 10])):
            made = sections(table, scheme, RULE=[1, rules])
            self.assertEqual(refusal(made, prices(made)), "")

    def test_a_set_read_in_place_is_the_same_set_and_its_grid_stays_there(self):
        for made in (sections(), sections(200, tariff.FLAT, RULE=[1, dict(RULES, ride={})]), large_sections(110)):
            payload = wire.encode(sets.header(), prices(made), made)
            here, there = wire.decode(payload, True), wire.decode(window(payload), True)
            for part in ("name", "version", "scope", "created_s", "effective_at_s", "expires_at_s", "samples", "days"):
                self.assertEqual(getattr(here, part), getattr(there, part))
            self.assertEqual((here.issuers, here.tunables), (there.issuers, there.tunables))
            self.assertEqual(here.fare.to_map(), there.fare.to_map())
            if here.fare.grid is not None:
                self.assertTrue(isinstance(there.fare.table, Window))

    def test_a_set_cut_short_or_with_a_byte_of_its_frame_wrong_is_refused_in_place_as_in_ram(self):
        made = sections()
        payload = wire.encode(sets.header(), prices(made), made)
        for size in range(0, len(payload), 3):
            with self.assertRaises(BadInput):
                wire.decode(window(payload[:size]), True)
        with self.assertRaises(BadInput):
            wire.decode(window(payload + b"\x00"), True)
        for at in range(0, len(payload), 11):
            other = bytearray(payload)
            other[at] ^= 0x21
            self.assertEqual(is_taken(bytes(other)), is_taken(window(other)))

    def test_sections_in_another_order_or_twice_are_refused(self):
        payload = wire.encode(sets.header(), prices(sections()), sections())
        for old, new in ((b"cCAL", b"cBIN"), (b"cDEV", b"cAAA"), (b"dKIND", b"dFARE"), (b"cCAL", b"CCAL")):
            self.assertEqual(payload.count(old), 1)
            for raw in (payload.replace(old, new), window(payload.replace(old, new))):
                with self.assertRaises(BadInput):
                    wire.decode(raw, True)

        rules = payload[payload.index(b"dRULE") :]
        swapped = payload[: payload.index(b"cDEV")]  # BIN and CAL; then RULE before DEV
        rest = payload[payload.index(b"cDEV") : payload.index(b"dRULE")]
        for raw in (payload.replace(b"\xa6cBIN", b"\xa7cBIN") + rules, swapped + rules + rest):
            for source in (raw, window(raw)):
                with self.assertRaises(BadInput):
                    wire.decode(source, True)

    def test_a_large_grid_is_checked_in_steps_and_what_is_beside_it_is_bounded(self):
        made = large_sections(110)
        payload = wire.encode(sets.header(), prices(made), made)
        self.assertTrue(sum(1 for _ in wire.decoding(window(payload), True)) >= 8)
        many = sections(RULE=[1, dict(RULES, ride=dict(RIDE))], BIN=[1, [bytes(4), issuers(512)]])
        self.assertEqual(refusal(many), "")
        long = payload_of(sections(BIN=[1, [issuers(512), issuers(512)]]), [[1 << 33] * 13] * 40)
        self.assertTrue(len(long) > SET_BYTES)
        for raw in (long, window(long)):
            with self.assertRaises(BadInput) as caught:
                wire.decode(raw, True)
            self.assertIn("beside its grid", str(caught.exception))

    def test_a_grid_larger_than_any_device_takes_is_refused(self):
        for places, taken in ((254, True), (255, False)):
            raw = blank_grid(places, 1, grid.SQUARE)
            self.assertEqual(len(raw) <= grid.GRID_BYTES_MAX, taken)
            try:
                tariffs.tariff_of(2, [7, tariff.GRID, 2, window(raw)], dict(RULES), {}, {})
                self.assertTrue(taken)
            except BadInput as problem:
                self.assertIn("devices take 65536", str(problem))
                self.assertFalse(taken)

    def test_each_bad_part_is_refused_under_its_name(self):
        for part, value, word in (
            ("FARE", [2, [7, tariff.GRID, 2]], "FARE"),
            ("FARE", [2, [7, 3, 2, LINE]], "scheme"),
            ("FARE", [2, [7, tariff.GRID, 0, LINE]], "mode"),
            ("FARE", [2, [7, tariff.GRID, 2, LINE[:-1]]], "FARE"),
            ("FARE", [2, [1, 250]], "FARE"),
            ("KIND", [1, [[2, 1001]]], "KIND"),
            ("KIND", [1, [[3, 1], [2, 1]]], "KIND"),
            ("CAL", [1, [[20250230, 1]]], "CAL"),
            ("RULE", [1, {}], "rules"),
            ("RULE", [0, dict(RULES)], "RULE"),
            ("RULE", [1, dict(RULES, ride={})], "ride"),
            ("RULE", [1, dict(RULES, visitors=16)], "visitors"),
        ):
            with self.subTest(part=part, value=value):
                self.assertIn(word, refusal(sections(**{part: value})))
        made = sections()
        made["GIFT"] = [1, 0]
        self.assertIn("sections", refusal(made))


class SamplePrices(unittest.TestCase):
    def test_each_number_of_each_price_counts(self):
        good = prices(sections())
        for at in range(len(good)):
            for field in (10, 11, 12):
                other = [list(sample) for sample in good]
                other[at][field] += 1
                self.assertIn("sample price %d is not" % (at + 1), refusal(sections(), other))

    def test_a_rule_without_a_sample_is_named(self):
        good = prices(sections())
        for word, keep in (
            ("card kind 2", lambda sample: sample[3] != 2),
            ("card kind -1", lambda sample: sample[3] in (2, 3)),
            ("visitors", lambda sample: sample[4] == 1),
            ("hours 1", lambda sample: sample[5] == sets.EFFECTIVE_S or sample[3] == 2),
            ("hours 2", lambda sample: sample[3] != 2 or sample[5] == sets.EFFECTIVE_S),
            ("tier 1", lambda sample: sample[7] != 0 or sample[4] == 0),
            ("tier 2", lambda sample: sample[7] != 15),
            ("transfer pair 1", lambda sample: sample[9] != 0),
            ("transfer pair 2", lambda sample: sample[9] != 1),
            ("riders 3", lambda sample: sample[6] != 3),
            ("layer 1", lambda sample: sample[0] != 1),
        ):
            with self.subTest(word=word):
                self.assertIn("no sample price of", refusal(sections(), [each for each in good if keep(each)]))
                self.assertIn(word, refusal(sections(), [each for each in good if keep(each)]))

    def test_another_rule_shows_in_a_sample(self):
        for changes in (
            {"cut_fen": 100},
            {"hours": [[-1, 7, 0, 420, 510], [2, 4, 0, 1440, 100]]},
            {"hours": [[-1, 7, 0, 420, 500], [2, 4, 0, 1440, 110]]},
            {"month": [0, [[0, 60], [15, 400]]]},
            {"month": [0, [[0, 50], [15, 410]]]},
            {"transfer": [90, 0, 1, 1, [[1, 2, 0, 51], [2, 1, 100, 0]]]},
            {"transfer": [90, 0, 1, 1, [[1, 2, 0, 50], [2, 1, 110, 0]]]},
            {"visitors": 0},
        ):
            with self.subTest(changes=changes):
                self.assertIn("not what this firmware", refusal(sections(RULE=[1, dict(RULES, **changes)])))

    def test_samples_that_are_none(self):
        good = prices(sections())
        for bad in (
            "x", [5], [good[0][:12]], [good[0][:12] + ["1"]], [[9] + good[0][1:]], [good[0][:9] + [7] + good[0][10:]],
            [good[0][:6] + [4] + good[0][7:]], [good[0][:4] + [2] + good[0][5:]], [good[0]] * 113, {},
        ):
            with self.subTest(bad=str(bad)[:40]):
                self.assertNotEqual(refusal(sections(), bad), "")

    def test_a_row_of_hours_that_never_counts_is_refused_by_the_office(self):
        rules = dict(RULES, hours=[[-1, 7, 0, 1440, 500], [2, 7, 60, 120, 100]])
        with self.assertRaises(BadInput) as caught:
            prices(sections(RULE=[1, rules]))
        self.assertIn("row 2 never counts", str(caught.exception))

    def test_the_fullest_tariff_stays_within_the_samples_of_a_set(self):
        kinds = [[kind, 500] for kind in range(100, 132)]
        hours = [[-1, 7, minute, minute + 1, 100] for minute in range(16)]
        pairs = [[15, mode, 0, 50] for mode in range(1, 17)]
        layers = [OUT] * 16
        rules = dict(RULES, hours=hours, month=[1, [[i, i] for i in range(7)]], transfer=[90, 0, 1, 1, pairs])
        made = sections(grid.build(grid.ONWARD, [1, 2, 3], layers), KIND=[1, kinds], RULE=[1, rules])
        listed = prices(made)
        self.assertEqual((len(listed), refusal(made, listed)), (106, ""))
        self.assertTrue(len(listed) <= samples.SAMPLES_MAX)


if __name__ == "__main__":
    unittest.main()
