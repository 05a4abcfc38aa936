"""Days, hours, monthly tiers, transfers, companions: worked examples, each edge, and what a card keeps of it."""

import unittest

from tunion import bcd
from tunion.fare import discount, granted, kept, month, transfer, when
from tunion.fare.month import Month
from tunion.fare.transfer import ANY_LINE, NOT_BACK, OTHER_LINE, SINCE_FIRST, SINCE_LAST, Chain, Leg, Transfers
from tunion.record import BadInput

PORTABLE = True
ARM = True

METRO, BUS = 1, 2
NOON_S = 1748750400  # Sunday 2025-06-01 12:00


def at(digits):
    return bcd.at_s(bcd.from_digits(digits))


class Prices(unittest.TestCase):
    def test_worked_examples(self):
        for list_fen, permilles, off_fen, cut_fen, riders, amount_fen in (
            (400, [50], 0, 1, 1, 380),
            (400, [400], 0, 1, 1, 240),
            (285, [50], 0, 1, 1, 271),  # 270.75
            (285, [50], 0, 10, 1, 270),
            (285, [], 0, 10, 1, 285),  # not discounted, not cut
            (285, [0, 0], 0, 10, 1, 285),
            (250, [50, 400], 0, 1, 1, 143),  # 142.5
            (250, [400, 50], 0, 1, 1, 143),
            (200, [500], 100, 1, 1, 0),
            (200, [500], 150, 1, 1, 0),
            (200, [], 50, 1, 1, 150),
            (200, [1000], 0, 1, 1, 0),
            (200, [500], 0, 1, 3, 500),  # 100 and two companions at 200
            (0, [500], 100, 1, 2, 0),
            (0xFFFFFF, [1, 1, 1], 0, 1, 1, 16726934),  # 16726933.67...
        ):
            with self.subTest(list_fen=list_fen, permilles=permilles):
                found = discount.price(list_fen, permilles, off_fen, cut_fen, riders)
                self.assertEqual(found.amount_fen, amount_fen)
                self.assertEqual(found.list_fen, riders * list_fen)
                self.assertEqual(found.list_fen - found.discount_fen, found.amount_fen)

    def test_rounded_once_not_after_each_discount(self):
        self.assertEqual(discount.price(333, [100, 100, 100]).amount_fen, 243)  # 242.757
        self.assertEqual(discount.price(101, [500, 500]).amount_fen, 25)  # 25.25; one by one it would be 51, then 26

    def test_what_is_no_fare_is_refused(self):
        for arguments in (
            (-1, []), (2.5, []), (True, []), (200, [1001]), (200, [-1]), (200, [0.5]), (200, [], -1), (200, [], 0, 0),
            (200, [], 0, 1, 0), (200, [], 0, 1, 1.5),
        ):
            with self.subTest(arguments=arguments), self.assertRaises(BadInput):
                discount.price(*arguments)


class Days(unittest.TestCase):
    DAYS = {20251001: when.HOLIDAY, 20251011: when.WORKDAY}

    def test_the_week_and_what_the_calendar_says_otherwise(self):
        for digits, day_type in (
            ("20250530235959", when.WORKDAY), ("20250531000000", when.WEEKEND), ("20250601235959", when.WEEKEND),
            ("20250602000000", when.WORKDAY), ("20251001080000", when.HOLIDAY), ("20251011080000", when.WORKDAY),
            ("20251012080000", when.WEEKEND), ("19700101080000", when.WORKDAY),
        ):
            with self.subTest(digits=digits):
                self.assertEqual(when.day_type(at(digits), self.DAYS), day_type)
        self.assertEqual(when.day_type(at("20251001080000"), {}), when.WORKDAY)

    def test_local_minutes_and_months(self):
        self.assertEqual(when.minute(at("20250601000059")), 0)
        self.assertEqual(when.minute(at("20250601235959")), 1439)
        self.assertEqual((when.month(at("20250531235959")), when.month(at("20250601000000"))), (202505, 202506))


class Months(unittest.TestCase):
    BY_RIDES = [[0, 50], [15, 400]]
    BY_SPENT = [[10000, 200], [15000, 500], [40000, 0]]

    def test_a_published_scheme_by_rides(self):
        so_far = month.of_month(None, 202506)
        paid = []
        for _ in range(17):
            amount_fen = discount.price(400, [month.permille(month.RIDES, self.BY_RIDES, so_far)]).amount_fen
            so_far = month.after(so_far, amount_fen)
            paid.append(amount_fen)
        self.assertEqual(paid, [380] * 15 + [240] * 2)
        self.assertEqual(so_far, (202506, 17, 15 * 380 + 2 * 240))

    def test_a_scheme_by_money_that_ends(self):
        for spent_fen, permille in (
            (0, 0), (9999, 0), (10000, 200), (14999, 200), (15000, 500), (39999, 500), (40000, 0), (0xFFFFFF, 0),
        ):
            self.assertEqual(month.permille(month.SPENT, self.BY_SPENT, Month(202506, 3, spent_fen)), permille)

    def test_a_tier_is_named_by_its_row(self):
        for rides, row in ((0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (0xFFFF, 2)):
            self.assertEqual(month.tier(month.RIDES, [[5, 50], [15, 400]], Month(202506, rides, 0)), row)

    def test_a_new_month_begins_at_zero_and_a_slow_clock_loses_nothing(self):
        june = Month(202506, 20, 7000)
        self.assertEqual(month.of_month(june, 202507), (202507, 0, 0))
        self.assertEqual(month.of_month(june, 202506), june)
        self.assertEqual(month.of_month(june, 202505), june)
        self.assertEqual(month.of_month(june, 197001), june)

    def test_counters_stop_where_the_card_ends(self):
        self.assertEqual(month.after(Month(202506, 0xFFFF, 0xFFFFFF), 400), (202506, 0xFFFF, 0xFFFFFF))

    def test_bad_tiers_are_refused(self):
        month.check_tiers(month.RIDES, self.BY_RIDES)
        for counts, tiers in (
            (2, self.BY_RIDES), (0, []), (0, [[15, 400], [0, 50]]), (0, [[5, 50], [5, 60]]), (0, [[0, 1001]]),
            (0, [[0, -1]]), (0, [[-1, 5]]), (0, [[0]]), (0, [[0, 1.5]]), (0, "tiers"), (0, [[i, 1] for i in range(8)]),
        ):
            with self.subTest(tiers=tiers), self.assertRaises(BadInput):
                month.check_tiers(counts, tiers)
        month.check_tiers(0, [[i, 1] for i in range(granted.TIER_MAX)])  # each row has its number in a tap


class TransferRules(unittest.TestCase):
    PAIRS = [[BUS, BUS, 500, 0], [METRO, BUS, 0, 100], [BUS, METRO, 100, 50]]

    def give(self, chain, leg, since=SINCE_FIRST, count_max=2, lines=NOT_BACK):
        return Transfers(90, since, count_max, lines, self.PAIRS).give(chain, leg)

    def test_a_chain_of_rides(self):
        first = self.give(None, Leg(BUS, 207, 0, NOON_S))
        self.assertEqual(first, (0, 0, (BUS, 207, 0, NOON_S, NOON_S, 0)))
        second = self.give(first.chain, Leg(METRO, 1, 0, NOON_S + 1800))
        self.assertEqual(second, (100, 50, (METRO, 1, 0, NOON_S, NOON_S + 1800, 1)))
        third = self.give(second.chain, Leg(BUS, 9, 1, NOON_S + 5400))
        self.assertEqual(third, (0, 100, (BUS, 9, 1, NOON_S, NOON_S + 5400, 2)))
        fourth = self.give(third.chain, Leg(BUS, 8, 1, NOON_S + 5400))
        self.assertEqual(fourth, (0, 0, (BUS, 8, 1, NOON_S + 5400, NOON_S + 5400, 0)))

    def test_the_window_from_the_first_and_from_the_last_tap(self):
        chain = Chain(BUS, 207, 0, NOON_S, NOON_S + 3600, 1)
        for since, after_s, given in (
            (SINCE_FIRST, 5400, 500), (SINCE_FIRST, 5401, 0), (SINCE_LAST, 9000, 500), (SINCE_LAST, 9001, 0),
            (SINCE_FIRST, 3600, 500), (SINCE_FIRST, 3599, 0), (SINCE_LAST, 3599, 0),
        ):
            self.assertEqual(self.give(chain, Leg(BUS, 8, 0, NOON_S + after_s), since).permille, given)

    def test_the_way_back_and_the_same_line(self):
        chain = Chain(BUS, 207, 0, NOON_S, NOON_S, 0)
        for lines, direction, given in (
            (ANY_LINE, 0, 500), (ANY_LINE, 1, 500), (NOT_BACK, 0, 500), (NOT_BACK, 1, 0), (OTHER_LINE, 0, 0),
            (OTHER_LINE, 1, 0),
        ):
            self.assertEqual(self.give(chain, Leg(BUS, 207, direction, NOON_S + 60), lines=lines).permille, given)
            self.assertEqual(self.give(chain, Leg(BUS, 208, direction, NOON_S + 60), lines=lines).permille, 500)

    def test_a_pair_that_is_not_named_gets_nothing_and_begins_anew(self):
        chain = Chain(METRO, 1, 0, NOON_S, NOON_S, 1)
        given = self.give(chain, Leg(METRO, 2, 0, NOON_S + 60))
        self.assertEqual(given, (0, 0, (METRO, 2, 0, NOON_S + 60, NOON_S + 60, 0)))

    def test_a_tap_off_moves_the_last_tap_only(self):
        chain = Chain(BUS, 207, 0, NOON_S, NOON_S, 1)
        self.assertEqual(transfer.ended(chain, NOON_S + 900), (BUS, 207, 0, NOON_S, NOON_S + 900, 1))
        self.assertEqual(transfer.ended(chain, NOON_S - 900), chain)

    def test_bad_rules_are_refused(self):
        for rule in (
            (0, 0, 1, 0, self.PAIRS), (1441, 0, 1, 0, self.PAIRS), (90, 2, 1, 0, self.PAIRS), (90, 0, 0, 0, self.PAIRS),
            (90, 0, 1, 3, self.PAIRS), (90, 0, 1, 0, []), (90, 0, 1, 0, [[BUS, BUS, 500]]),
            (90, 0, 1, 0, [[BUS, BUS, 1001, 0]]), (90, 0, 1, 0, [[BUS, METRO, 1, 0], [BUS, METRO, 2, 0]]),
            (90, 0, 1, 0, [[0, BUS, 1, 0]]), (90, 0, 1, 0, [[16, BUS, 1, 0]]),
            (90, 0, 1, 0, [[BUS, BUS, 0, 1 << 24]]), (90, 0, 1, 0, 5),
        ):
            with self.subTest(rule=rule), self.assertRaises(BadInput):
                Transfers(*rule)


class Granted(unittest.TestCase):
    def test_each_byte_is_one_meaning(self):
        self.assertEqual([granted.pack(*granted.unpack(byte)) for byte in range(256)], list(range(256)))
        self.assertEqual(granted.pack(0, False, 0), 0)
        self.assertEqual(granted.pack(7, True, 2), 0x2F)
        self.assertEqual(granted.unpack(0x2A), (2, True, 2))

    def test_what_does_not_fit_is_refused(self):
        for tier, transfer_from in ((8, 0), (-1, 0), (0, 16), (0, -1), (True, 0), (0, 1.0)):
            with self.subTest(tier=tier, transfer_from=transfer_from), self.assertRaises(BadInput):
                granted.pack(tier, False, transfer_from)


class OnTheCard(unittest.TestCase):
    MONTH = Month(202506, 16, 5940)
    CHAIN = Chain(BUS, 207, 1, NOON_S, NOON_S + 900, 2)

    def test_every_byte(self):
        raw = kept.pack(self.MONTH, self.CHAIN)
        self.assertEqual(
            raw[:22].hex(), "01" "03170a" "0010" "001734" "02" "00cf" "01" "02" "683bd040" "683bd3c4"
        )
        self.assertEqual(len(raw), 26)

    def test_what_is_not_there_is_zero(self):
        self.assertEqual(kept.pack(None, None)[:22], b"\x01" + bytes(21))

    def test_what_was_kept_comes_back(self):
        for of_month in (None, self.MONTH):
            for chain in (None, self.CHAIN):
                self.assertEqual(kept.unpack(kept.pack(of_month, chain)), (of_month, chain))

    def test_blank_torn_and_foreign_bytes_are_nothing(self):
        raw = kept.pack(self.MONTH, self.CHAIN)
        for other in (b"", bytes(26), b"\xff" * 26, raw[:25], raw + b"\x00", b"\x02" + raw[1:]):
            self.assertEqual(kept.unpack(other), (None, None))
        for place in range(26):
            torn = bytearray(raw)
            torn[place] ^= 0x10
            self.assertEqual(kept.unpack(torn), (None, None))


if __name__ == "__main__":
    unittest.main()
