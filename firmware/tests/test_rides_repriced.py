"""Whatever terminals journal of a card that travels at random, the office's second opinion agrees with."""

import random
import unittest

from support import rides
from support.purse_card import PurseCard
from tunion.fare import reprice, trip
from tunion.wire import tap as wire

HEAP = "3m"
SEEDS = 6
STEPS = 30

DISCOUNTS = {
    "hours": [[-1, 7, 0, 600, 300], [2, 7, 900, 1440, 100]], "month": [0, [[0, 50], [3, 400]]],
    "transfer": [90, 0, 3, 0, [[1, 1, 100, 20], [2, 2, 0, 50], [2, 1, 500, 0]]], "cut_fen": 10, "missing_exit_fen": 250,
    "same_free_fen": 30,
}  # fmt: skip


def terminals(tariff, roles, **settings):
    made = []
    for role in roles:
        terminal = rides.terminal(tariff, role=role, kept_in=2, same_card_s=0, **settings)
        terminal.tap._gate = rides.Post()
        made.append(terminal)
    return made


class EveryTap(unittest.TestCase):
    def travel(self, tariff, make, settle):
        """Cards at terminals in any order, for minutes or hours; each journal is judged. The seed replays a run."""
        judged = set()
        for seed in range(SEEDS):
            random.seed(seed)
            made = make()
            cards = [
                PurseCard(b"\x03\x10" + bytes(7) + bytes((17 + i,)), kind=1 + i, balance_fen=90000, city=city)
                for i, city in enumerate((rides.CITY, rides.CITY, b"\x99\x01"))
            ]
            for _ in range(STEPS):
                passed_ms = random.choice((5000, 60000, 900000, 4000000, 9000000))
                for terminal in made:
                    terminal.clock.advance_ms(passed_ms)
                terminal = random.choice(made)
                settle(terminal)
                terminal.reader.present(random.choice(cards))
                terminal.tap.serve()
                terminal.reader.card = None
            for terminal in made:
                pending = list(terminal.journal.pending(1000, 1000000))
                for _, entry in pending:
                    body, _ = wire.from_wire(entry)
                    if body.kind == wire.TAP:
                        found = reprice.verdict(tariff, body)
                        told = found and reprice.FINDINGS[found][0]
                        self.assertEqual(told, 0, "seed %d: %r" % (seed, body))
                        judged.add((body.event, body.fare_case))
        return judged

    def test_metro_with_its_desk(self):
        metro = rides.metro(**dict(DISCOUNTS, visitors=15))
        def settle(terminal):
            terminal.duty.stop = random.choice(rides.METRO_STATIONS)
            terminal.duty.modes = random.choice((0, 0, 0, 0, trip.TIME_FREE, trip.FARE_FREE, trip.EXIT_FREE))
            station = random.choice([0] + rides.METRO_STATIONS)
            terminal.duty.repair = random.choice((("exit", station), ("entry", station or 211)))

        judged = self.travel(metro, lambda: terminals(metro, ("entry", "exit", "both", "desk")), settle)
        self.assertTrue({(3, 0), (3, 2), (4, 0), (4, 3), (4, 5), (4, 6), (8, 1), (8, 2)} <= judged, judged)

    def test_buses_of_one_line_and_another(self):
        line = rides.line(**dict(DISCOUNTS, visitors=1))

        def make():
            return terminals(line, ("bus", "bus"), line=605) + terminals(line, ("bus",), line=7, plate=b"B00001D")

        def settle(terminal):
            terminal.duty.stop = random.choice(rides.STOPS)
            terminal.duty.layer = random.choice((0, 0, 0, 1))

        judged = self.travel(line, make, settle)
        self.assertTrue({(3, 0), (4, 0), (4, 5), (4, 17), (8, 2), (8, 18)} <= judged, judged)

    def test_one_tap_one_fare(self):
        def settle(terminal):
            terminal.duty.riders = random.choice((1, 1, 2, 5))
            terminal.duty.meter_fen = random.choice((800, 1800, 99900))
            terminal.duty.stop, terminal.duty.stop_to = 1, random.choice((2, 3, 4))
            terminal.duty.layer = random.choice((0, 1))

        rules = {name: DISCOUNTS[name] for name in ("hours", "month", "transfer", "cut_fen")}
        for make, role in ((rides.flat, "bus"), (rides.taxi, "bus"), (rides.line, "conductor")):
            tariff = make(**rules)
            judged = self.travel(tariff, lambda tariff=tariff, role=role: terminals(tariff, (role, role)), settle)
            self.assertEqual(judged, {(6, 0)})


if __name__ == "__main__":
    unittest.main()
