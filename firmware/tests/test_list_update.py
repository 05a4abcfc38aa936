"""Lists in flash: staged, merged, checked, searched; a power cut leaves one list or the other."""

import unittest
from hashlib import sha256

from support import card_lists as made
from support.list_life import BLOBS, COUNT_MAX, DELTA_MAX, NEW, NEXT, OLD, Life, sweep
from support.nor import BACKWARD, FORWARD, HALF_WAY, Chance, Faults, PowerCut
from support.signer import Signer
from tunion import cbor
from tunion.wire import lists as wire
from tunion.wire import manifest
from tunion.wire.tap import LIST_ACTIVE, LIST_OLD, LIST_REFUSED
from validator.list_bank import HEADER, META_BYTES
from validator.list_update import FETCHES_MAX
from validator.list_views import DatedView, DenyView

HEAP = "6m"  # several flash images


def with_list(version=4):
    """A life in which this list is in force and everything was told."""
    life = Life(blobs=dict(BLOBS))
    life.settle(life.offer((version, 0)))
    life.notes.events.clear()
    return life


class Case(unittest.TestCase):
    def assert_in_force(self, life, version, content):
        self.assertEqual((life.store.version, life.content() == content), (version, True))
        view = DenyView(life.store, ())
        for number in range(0, 910, 7):
            serial = made.serial(number)
            self.assertEqual(serial in view, serial in wire.split(content))


class Updates(Case):
    def test_a_full_list_is_staged_and_active_and_told(self):
        life = Life(blobs=BLOBS)
        self.assertEqual(life.fetch(life.offer((4, 0))), len(BLOBS[4, 0]) - wire.HEAD_BYTES + 2048)
        life.turns(30)
        self.assert_in_force(life, 4, OLD)
        self.assertEqual(life.notes.events, [(LIST_ACTIVE, 0, 4)])
        life.boot()
        life.turns(30)
        self.assert_in_force(life, 4, OLD)
        self.assertEqual(life.notes.events, [(LIST_ACTIVE, 0, 4)])

    def test_the_cheapest_way_to_the_newest_is_taken(self):
        life = with_list(4)
        everything = life.offer((4, 0), (5, 0), (5, 4))
        self.assertEqual(life.store.choose(everything).base, 4)
        self.assertTrue(life.fetch(everything) < len(BLOBS[5, 0]))
        life.turns(30)
        self.assert_in_force(life, 5, NEW)
        self.assertEqual(life.store.choose(everything), None)
        self.assertEqual(life.store.choose(life.offer((6, 0), (6, 5))).base, 0)  # as good as all has changed

    def test_a_delta_for_another_base_is_passed_over_for_the_full_list(self):
        life = with_list(4)
        self.assertEqual(life.store.choose(life.offer((6, 5))), None)
        life.settle(life.offer((6, 5), (6, 0)))
        self.assert_in_force(life, 6, NEXT)

    def test_deltas_one_after_the_other(self):
        life = with_list(4)
        numbers = set(range(0, 900, 3))
        before, version = OLD, 4
        for round in range(6):
            numbers = {n for n in numbers if n % 11 != round} | {1000 * round + n for n in range(40)}
            after = made.records(numbers)
            life.blobs[version + 1, version] = made.delta(version, before, version + 1, after)
            life.settle(life.offer((version + 1, version)))
            version, before = version + 1, after
            self.assert_in_force(life, version, after)

    def test_lists_of_every_size(self):
        version = 0
        life = Life(count_max=300, delta_max=10)
        for count in (0, 1, 31, 32, 33, 127, 128, 129, 160, 256, 257, 300):
            version += 1
            content = made.records(range(7, 7 + 3 * count, 3))
            life.blobs[version, 0] = made.full(version, content)
            life.settle(life.offer((version, 0)))
            self.assert_in_force(life, version, content)

    def test_the_time_of_a_list_is_waited_for_and_a_clock_that_was_set(self):
        life = with_list(4)
        life.clock = clock = type(life.clock)(now_s=made.EFFECTIVE_S - 100)
        life.boot()
        life.settle(life.offer((5, 4)))
        self.assertEqual((life.store.version, life.store.staged_version), (4, 5))
        self.assertEqual(life.store.choose(life.offer((5, 4))), None)
        clock.advance_ms(101000)
        clock.clk_q = 0
        life.turns(5)
        self.assertEqual(life.store.version, 4)
        clock.clk_q = 2
        life.boot()
        life.turns(100)
        self.assert_in_force(life, 5, NEW)

    def test_a_look_up_is_right_while_the_keys_are_still_being_read(self):
        life = Life(count_max=6000, delta_max=0)
        content = made.records(range(0, 12000, 2))
        life.blobs[1, 0] = made.full(1, content)
        life.settle(life.offer((1, 0)))
        for steps in (0, 1, 2):
            life.boot()
            life.turns(steps)
            for number in (0, 1, 255, 256, 257, 6001, 11998, 11999):
                self.assertEqual(made.serial(number) in DenyView(life.store, ()), number % 2 == 0)

    def test_until_the_first_list_the_device_file_decides(self):
        life = Life(blobs=BLOBS)
        view = DenyView(life.store, (made.serial(1),))
        self.assertEqual([made.serial(n) in view for n in (0, 1)], [False, True])
        life.settle(life.offer((4, 0)))
        self.assertEqual([made.serial(n) in view for n in (0, 1)], [True, False])

    def test_nothing_is_refused_because_a_list_is_old_and_it_is_told_once(self):
        life = with_list(4)
        life.clock.advance_ms(1000 * (made.CREATED_S + 48 * 3600 - life.clock.now_s()))
        life.turns(30)
        self.assertEqual(life.notes.events, [])
        life.clock.advance_ms(1000)
        life.turns(30)
        self.assertTrue(life.store.is_old())
        life.boot()
        life.turns(60)
        self.assertEqual(life.notes.events, [(LIST_OLD, 0, 4)])
        life.old_after_s = 0  # as the other lists have it: they change when a city joins, not daily
        life.notes.events.clear()
        life.use(None)
        life.settle(life.offer((4, 0)))
        life.turns(60)
        self.assertEqual((life.store.is_old(), life.notes.events), (False, [(LIST_ACTIVE, 0, 4)]))
        self.assert_in_force(life, 4, OLD)


class Dated(unittest.TestCase):
    def test_cities_join_and_leave_at_their_time(self):
        day = made.EFFECTIVE_S
        xian, yanan = b"\x61\x10", b"\x61\x60"
        content = wire.dated(xian, day, day + 100) + wire.dated(xian, day + 200, wire.NEVER_S)
        content += wire.dated(yanan, day + 50, day + 60)
        life = Life(wire.CITY, 10, 0, {(1, 0): made.full(1, content, wire.CITY)})
        life.settle(life.offer((1, 0)))
        self.assertEqual(life.notes.events, [(LIST_ACTIVE, wire.reason_of(wire.CITY, 0), 1)])
        for after_s, joined in ((-1, ()), (0, (xian,)), (50, (xian, yanan)), (59, (xian, yanan)), (60, (xian,)),
                                (99, (xian,)), (100, ()), (199, ()), (200, (xian,)), (10**8, (xian,))):
            clock = type(life.clock)(now_s=day + after_s)
            view = DatedView(life.store, clock)
            self.assertEqual(tuple([city for city in (xian, yanan) if city in view]), joined)
            self.assertFalse(b"\x61\x11" in view or b"\x00\x00" in view or b"\x99\x99" in view)


class Refusals(Case):
    def refused(self, life, blob, version, base=0, still=4, content=OLD):
        """Offer a blob; returns the reason journaled. The list in force stays."""
        life.notes.events.clear()
        life.blobs[version, base] = blob
        life.settle(life.offer((version, base)))
        life.turns(50)
        self.assertEqual(len(life.notes.events), 1)
        code, reason, value = life.notes.events[0]
        self.assertEqual((code, value), (LIST_REFUSED, version))
        self.assert_in_force(life, still, content)
        return reason

    def test_foreign_keys_scopes_and_heads(self):
        life = with_list(4)
        payload, content = wire.full(wire.DENY, NEW, **made.header(5))
        flipped = bytearray(BLOBS[5, 0])
        flipped[100] ^= 4
        noise = b"\xff" * len(BLOBS[5, 0])
        for blob, why in (
            (made.sealed(payload, content, Signer(77)), wire.BAD_SIGNATURE),
            (bytes(flipped), wire.BAD_SIGNATURE),
            (noise, wire.BAD_CONTENT),
            (made.sealed(b"\x80", content), wire.BAD_CONTENT),
            (made.full(5, NEW, scope="OTHER"), wire.FOREIGN_SCOPE),
            (made.full(6, NEW), wire.BAD_CONTENT),
            (made.full(3, NEW), wire.DOWNGRADE),
            (made.full(4, NEW), wire.DOWNGRADE),
            (made.full(5, NEW[:-10])[: wire.HEAD_BYTES] + NEW, wire.BAD_CONTENT),
        ):
            with self.subTest(why=why):
                self.assertEqual(self.refused(life, blob, 5), why)

    def test_a_downgrade_is_told_once(self):
        life = with_list(5)
        for _ in range(3):
            self.assertEqual(life.store.choose(life.offer((4, 0))), None)
        self.assertEqual(life.notes.events, [(LIST_REFUSED, wire.DOWNGRADE, 4)])

    def test_a_signed_list_that_is_not_sorted(self):
        payload, _ = wire.full(wire.DENY, NEW, **made.header(5))
        wrong = NEW[10:20] + NEW[:10] + NEW[20:]
        fields = cbor.decode(payload)
        fields[10] = fields[12] = sha256(wrong).digest()
        life = with_list(4)
        self.assertEqual(self.refused(life, made.sealed(cbor.encode(fields), wrong), 5), wire.UNSORTED)
        life.boot()
        self.assertEqual(life.store.choose(life.offer((5, 0))), None)

    def test_more_than_there_is_room_for(self):
        life = with_list(4)
        big = made.records(range(COUNT_MAX + 1))
        blob = made.full(5, big)
        life.blobs[5, 0] = blob
        self.assertEqual(life.store.choose(life.offer((5, 0))), None)
        grown = made.records(list(range(0, 900, 3)) + list(range(901, 901 + COUNT_MAX - 299)))
        delta = made.delta(4, OLD, 5, grown)
        self.assertTrue(len(grown) > 10 * COUNT_MAX and len(delta) > 10 * DELTA_MAX)
        self.assertEqual(life.store.choose([made.entry(delta, 5, 4)]), None)
        life = with_list(4)
        crowded = made.records(range(0, 900, 3))[: 10 * 300] + made.records(range(901, 901 + DELTA_MAX))
        life.count_max = 400  # a smaller device; the first bank lies where it did
        life.boot()
        self.assertEqual(self.refused(life, made.delta(4, OLD, 5, crowded), 5, 4), wire.TOO_MANY)

    def test_an_expired_list(self):
        life = with_list(4)
        blob = made.full(5, NEW, expires_at_s=made.EFFECTIVE_S + 5)
        self.assertEqual(self.refused(life, blob, 5), wire.EXPIRED)
        blob = made.delta(4, OLD, 6, NEW, expires_at_s=made.EFFECTIVE_S + 5)
        self.assertEqual(self.refused(life, blob, 6, 4), wire.EXPIRED)

    def test_a_spoilt_download_is_fetched_again_some_times_and_then_left(self):
        life = with_list(4)
        spoilt = {(5, 0): BLOBS[5, 0][:-1] + b"\x00"}
        for _ in range(FETCHES_MAX):
            self.assertTrue(life.fetch(life.offer((5, 0)), spoilt) > len(NEW))
            life.turns(50)
        self.assertEqual(life.store.choose(life.offer((5, 0))), None)
        self.assertEqual(life.notes.events, [(LIST_REFUSED, wire.BAD_HASH, 5)] * FETCHES_MAX)
        life.boot()
        life.settle(life.offer((5, 0)))
        self.assert_in_force(life, 5, NEW)

    def test_a_delta_of_another_list_under_the_same_number(self):
        life = with_list(4)
        for other in (made.records(range(1, 900, 3)), made.records(range(0, 903, 3)), OLD[10:]):
            for result in (NEW, NEXT[:1000]):
                blob = made.delta(4, other, 5, result)
                if len(blob) <= wire.HEAD_BYTES + 10 * DELTA_MAX:
                    with self.subTest(other=len(other), result=len(result)):
                        life = with_list(4)
                        self.assertIn(self.refused(life, blob, 5, 4), (wire.WRONG_BASE, wire.WRONG_RESULT))

    def test_after_a_delta_that_fails_the_full_list_is_taken(self):
        life = with_list(4)
        other = made.records([n for n in range(0, 900, 3)] + [2])
        self.assertEqual(self.refused(life, made.delta(4, other, 5, NEW), 5, 4), wire.WRONG_BASE)
        life.blobs[5, 0] = BLOBS[5, 0]
        life.settle(life.offer((5, 4), (5, 0)))
        self.assert_in_force(life, 5, NEW)

    def test_a_delta_whose_result_is_not_what_was_signed(self):
        payload, content = wire.delta(OLD, 4, NEW, **made.header(5))
        for place, value in ((12, bytes(32)), (11, len(NEW) // 10 - 1), (11, len(NEW) // 10 + 1)):
            fields = cbor.decode(payload)
            fields[place] = value
            life = with_list(4)
            blob = made.sealed(cbor.encode(fields), content)
            self.assertEqual(self.refused(life, blob, 5, 4), wire.WRONG_RESULT)


    def test_a_manifest_that_offers_what_cannot_be_is_passed_over(self):
        life = Life(wire.CITY, 10, 0, {(1, 0): made.full(1, b"", wire.CITY)})
        life.settle(life.offer((1, 0)))
        for changes in (dict(base=1), dict(bytes=0), dict(bytes=511), dict(bytes=0xFFFFFFFF), dict(kind="deny")):
            entry = made.entry(b"x" * wire.HEAD_BYTES, 2, 0, wire.CITY)
            self.assertEqual(life.store.choose([self.changed(entry, changes)]), None)
        life = with_list(4)
        for changes in (dict(base=4, bytes=0xFFFFFFFF), dict(base=4, bytes=511), dict(base=3), dict(kind="params")):
            entry = made.entry(b"x" * wire.HEAD_BYTES, 5)
            self.assertEqual(life.store.choose([self.changed(entry, changes)]), None)

    def changed(self, entry, changes):
        fields = dict(zip(("kind", "version", "bytes", "sha256", "effective_at_s", "base"), entry))
        for name in changes:
            fields[name] = changes[name]
        return manifest.Entry(**fields)

    def test_a_full_journal_delays_words_and_nothing_else(self):
        life = with_list(4)
        life.notes.full = True
        life.blobs[5, 4] = made.delta(4, OLD[10:], 5, NEW)
        life.settle(life.offer((5, 4)))
        self.assert_in_force(life, 4, OLD)
        life.settle(life.offer((6, 0)))
        self.assert_in_force(life, 6, NEXT)
        life.turns(100)
        self.assertEqual(life.notes.events, [])
        life.notes.full = False
        life.turns(10)
        self.assertEqual(life.notes.events, [(LIST_ACTIVE, 0, 6)])


class Damage(Case):
    def test_any_flash_image_starts_and_takes_a_list(self):
        size = len(Life(blobs=BLOBS).flash.cells)
        noise = 7
        images = [bytes(size), b"\xff" * size, b"\x55" * size]
        for _ in range(2):
            cells = bytearray(size)
            for at in range(size):
                noise = (noise * 1103515245 + 12345) & 0x7FFFFFFF
                cells[at] = noise >> 16 & 0xFF
            images.append(cells)
        for image in images:
            life = Life(blobs=BLOBS)
            life.flash.cells[:] = image
            life.boot()
            self.assertEqual(life.store.version, 0)
            life.turns(50)
            life.settle(life.offer((4, 0)))
            self.assert_in_force(life, 4, OLD)

    def test_a_bit_flipped_anywhere_is_told_or_changes_nothing(self):
        life = with_list(4)
        life.settle(life.offer((5, 4)))
        start = life.kept()
        header_at = life.store._active.content_at - META_BYTES
        places = list(range(0, len(start.cells), 211)) + list(range(1024, 1024 + 160, 3))  # all over, the pointer,
        for at in places + list(range(header_at, header_at + 300, 7)):  # the header and marks
            life.use(start)
            life.notes.events.clear()
            life.flash.cells[at] ^= 1 << at % 8
            life.boot()
            life.turns(100)
            told = [reason for code, reason, _ in life.notes.events if code == LIST_REFUSED]
            if (life.store.version, life.content()) != (5, NEW):
                self.assertEqual((told, life.store.damaged), ([wire.UNREADABLE], True))
            life.settle(life.offer((5, 0)))
            self.assert_in_force(life, 5, NEW)

    def test_a_list_that_rotted_is_searched_told_and_taken_again_whole(self):
        life = with_list(4)
        at = life.store._active.content_at + 1000
        life.flash.cells[at] &= 0x00
        life.boot()
        life.turns(60)
        self.assertEqual(life.notes.events, [(LIST_REFUSED, wire.UNREADABLE, 4)])
        self.assertTrue(made.serial(0) in DenyView(life.store, ()))
        self.assertEqual(life.store.choose(life.offer((5, 4))), None)  # a delta of a list that is no more
        life.settle(life.offer((4, 0)))
        self.assert_in_force(life, 4, OLD)
        self.assertFalse(life.store.damaged)
        self.assertEqual(life.notes.events[-1], (LIST_ACTIVE, 0, 4))
        life.boot()
        life.turns(60)
        self.assertEqual(len(life.notes.events), 2)

    def test_a_bank_whose_header_is_gone_leaves_the_one_before(self):
        life = with_list(4)
        life.settle(life.offer((5, 4)))
        life.flash.cells[life.store._active.content_at - META_BYTES + 9] ^= 1
        life.boot()
        self.assert_in_force(life, 4, OLD)
        life.turns(60)
        self.assertEqual(life.notes.events[-1], (LIST_REFUSED, wire.UNREADABLE, 5))
        life.settle(life.offer((5, 4), (5, 0)))
        self.assert_in_force(life, 5, NEW)

    def test_both_headers_gone_leave_the_device_file(self):
        life = with_list(4)
        life.flash.cells[life.store._active.content_at - META_BYTES + 9] ^= 1
        life.boot()
        self.assertEqual(life.store.version, 0)
        life.settle(life.offer((4, 0)))
        self.assert_in_force(life, 4, OLD)


class PowerCuts(unittest.TestCase):
    """The power fails at points of an update, and again while that is recovered from. All of them: `make soak`."""

    def test_a_full_list(self):
        for order in (FORWARD, BACKWARD):
            self.assertTrue(sweep("list-full", order, Faults(7), 149, 509) > 3000)

    def test_a_delta(self):
        for order in (FORWARD, BACKWARD):
            self.assertTrue(sweep("list-delta", order, Faults(7, pages=order is BACKWARD), 149, 509) > 3500)

    def test_a_list_that_is_being_erased_is_not_fallen_back_to(self):
        for cut in range(1, 8 * 16 + 140, 9):
            life = with_list(4)
            life.settle(life.offer((5, 4)))
            life.boot(cut)
            with self.assertRaises(PowerCut):
                life.fetch(life.offer((6, 0)))
            life.boot()
            life.flash.cells[life.store._active.content_at - META_BYTES + 9] ^= 1  # and now the other one is lost
            life.boot()
            self.assertIn((life.store.version, life.content()), ((4, OLD), (0, b"")))

    def test_a_header_or_mark_that_was_torn_and_reads_whole_is_firm_before_it_is_relied_on(self):
        life = Life(blobs=BLOBS, faults=Faults(1, progress=HALF_WAY))
        life.settle(life.offer((4, 0)))
        start = life.kept()
        sectors = (META_BYTES + len(NEW) + 1023) // 1024
        header_at = HEADER.size + 17 * sectors  # as work until then: the old header voided, the sectors erased
        units = (2048 + HEADER.size, len(NEW) + 1 + HEADER.size)
        for cut in [header_at + HEADER.size - 1] + [header_at + unit for unit in units]:
            for seed in range(40):
                life.use(start)
                life.flash.faults.chance = Chance(seed)
                life.boot(cut)
                with self.assertRaises(PowerCut):
                    life.fetch(life.offer((5, 0)))
                life.boot()
                life.settle(life.offer((5, 0)))
                for _ in range(20):
                    life.boot()
                    self.assertEqual((cut, life.store.version, life.store.damaged), (cut, 5, False))

    def test_after_a_cut_the_blob_may_come_otherwise_and_is_staged_anew(self):
        life = with_list(4)
        spoilt = {(5, 0): BLOBS[5, 0][:700] + b"\x00" * (len(BLOBS[5, 0]) - 700)}
        life.boot(HEADER.size * 2 + 16 * 5 + 400)
        with self.assertRaises(PowerCut):
            life.fetch(life.offer((5, 0)), spoilt)
        life.boot()
        life.settle(life.offer((5, 0)))
        self.assertEqual((life.store.version, life.content() == NEW), (5, True))
        self.assertEqual(life.notes.events, [(LIST_ACTIVE, 0, 5)])


if __name__ == "__main__":
    unittest.main()
