"""A provisioning file is used whole or refused by name, and its values never show up in a message."""

import json
import unittest

from support import rides
from support.bus import device_map
from support.signer import Signer
from tunion import cbor
from validator.settings import BadSettings, Settings

HEAP = "1m"  # everything is compiled on the spot

with open(__file__.rsplit("/", 2)[0] + "/validator/profiles/readers/sample_binary_xor.json") as file:
    PROFILE = json.load(file)
with open(__file__.rsplit("/", 2)[0] + "/validator/profiles/meters/sample_taxi_meter.json") as file:
    METER = json.load(file)
PARAMS = {"path": "params.nor", "scope": "SAMPLE-BUS", "keys": [Signer().key]}


def refusal(values):
    try:
        Settings(cbor.encode(values))
    except BadSettings as problem:
        return str(problem)
    return ""


class Files(unittest.TestCase):
    def test_a_good_file_gives_every_setting_and_the_defaults(self):
        found = Settings(cbor.encode(device_map()))
        self.assertEqual((found.device_id, found.line, found.server.port), (0x1A01, 11, 8443))
        self.assertEqual((found.reader.driver, found.reader.name, found.sam.driver), ("pcsc", "reader 00 00", "soft"))
        self.assertEqual((found.flash.sectors, found.fare.price(1).amount_fen, found.deny.count), (8, 200, 1))
        self.assertEqual((found.overdraft, found.test_cards, found.production), (False, False, False))
        self.assertEqual(found.industry, 2)
        self.assertEqual((found.sync_interval_s, found.same_card_s, found.clock_required), (300, 5, True))

    def test_a_tariff_in_place_of_a_flat_fare(self):
        tariff = rides.metro().to_map()
        good = {"fare": tariff, "city": rides.CITY, "network": rides.NETWORK, "plate": b"A1", "role": "exit"}
        found = Settings(cbor.encode(device_map(**good)))
        self.assertEqual((found.fare.grid.fen(0, 211, 322), found.site.role), (300, "exit"))
        self.assertEqual(found.site.plate, b"A1" + bytes(6))
        for name, value, word in (
            ("city", bytes(2), "city"),
            ("city", b"\xaa\x10", "city"),
            ("network", bytes(8), "network"),
            ("station_coding", "CCL0000", "8 letters"),
            ("place_coding", "LLSX", "4 letters"),
            ("station_coding", "CC00000S", "station 323"),
            ("role", "bus", "role bus"),
            ("fare", rides.line().to_map(), "role exit"),
            ("fare", dict(tariff, table="00"), "Grid"),
            ("fare", dict(tariff, scheme="dear"), "tariff"),
        ):
            with self.subTest(name=name, value=value):
                self.assertIn(word, refusal(device_map(**dict(good, **{name: value}))))
        del good["city"]
        self.assertIn("city", refusal(device_map(**good)))
        self.assertIn("city", refusal(device_map(tariffs=True)))

    def test_each_bad_value_is_refused_under_its_name(self):
        for name, value in (
            ("device_id", 0),
            ("device_id", True),
            ("key", bytes(31)),
            ("host", ""),
            ("line", 0x10000),
            ("industry", 15),
            ("role", "gatekeeper"),
            ("city", b"\x61"),
            ("network", bytes(7)),
            ("plate", bytes(9)),
            ("kept_in", 3),
            ("issuers", [b"123"]),
            ("issuers", [b"1234"] * 600),
            ("overdraft", "perhaps"),
            ("test_cards", 1),
            ("grey_after_s", 0),
            ("backoff_first_s", 0),
            ("reader", {"driver": "pcsc"}),
            ("reader", {"driver": "uart", "name": "x"}),
            ("reader", {"driver": "pn532", "name": "x", "path": "/dev/ttyUSB0"}),
            ("reader.profile: layout", {"driver": "stx_etx", "path": "x", "profile": dict(PROFILE, layout=["body"])}),
            ("reader.profile", {"driver": "stx_etx", "path": "x", "profile": 1}),
            ("reader.slot", {"driver": "ccid", "path": "x", "slot": 8}),
            ("sam", {"driver": "soft", "blob": b"x", "storage_key": bytes(16)}),
            ("sam.driver", {"driver": "reader", "slot": 1}),
            ("sam.slot", {"driver": "uart", "path": "x", "pins": "y", "slot": 4}),
            ("flash", {"path": "x", "sectors": 3}),
            ("params.set_bytes_max", dict(PARAMS, set_bytes_max=8191)),
            ("params.set_bytes_max", dict(PARAMS, set_bytes_max=73729)),
            ("params.sectors takes at least 8 ", dict(PARAMS, sectors=7)),
            ("params.sectors takes at least 28 ", dict(PARAMS, set_bytes_max=49152)),
            ("params.sectors takes at least 40 ", dict(PARAMS, set_bytes_max=73728, sectors=39)),
            ("server", {"address": "x", "port": 0, "pin": bytes(32)}),
            ("server", {"address": "x", "port": 1, "pin": bytes(20)}),
            ("deny", {"version": 1}),
            ("lists", {"deny_max": 10}),
            ("lists", {"path": "lists.nor", "deny_max": 100001}),
            ("lists", {"path": "lists.nor", "sectors": 20}),
            ("lists", {"path": "lists.nor", "deny_max": 10}),  # and no params
            ("fare", 200),
            ("duty", 1),
            ("duty.colour", {"colour": 1}),
            ("duty.login", {"login": 1}),
            ("duty.lines", {"lines": [65536]}),
            ("duty.lines", {"lines": [True]}),
            ("duty.lines", {"lines": list(range(65))}),
            ("duty.directions", {"directions": 3}),
            ("duty.progress", {"progress": "odometer"}),
            ("duty.progress takes gps only", {"progress": "gps"}),
            ("duty.stops: stop 0", {"stops": [[11, 0, 101]]}),
            ("duty.stop ", {"stop": 65536}),
            ("duty.layer", {"layer": 16}),
            ("duty.riders_max", {"riders_max": 21}),
            ("duty.gps.path", {"gps": {"speed": 9600}}),
            ("duty.gps.speed takes one of", {"gps": {"path": "x", "speed": 10000}}),
            ("duty.meter.profile", {"meter": {"path": "x"}}),
            ("duty.meter.profile: bytes", {"meter": {"path": "x", "profile": {}}}),
            ("panel", {"path": "x"}),
            ("panel[0].driver", [{"driver": "hologram", "path": "x"}]),
            ("panel[1].path", [{"driver": "st7920", "path": "x"}, {"driver": "st7920"}]),
            ("panel[0].shows", [{"driver": "st7920", "path": "x", "shows": "films"}]),
        ):
            with self.subTest(name=name, value=value):
                key = name.split(":")[0].split(".")[0].split("[")[0]
                self.assertIn(name, refusal(device_map(**{key: value})))

    def test_room_for_sets_is_the_least_unless_the_device_file_says_more(self):
        for changes, found in (({}, (8, 8192)), ({"set_bytes_max": 73728, "sectors": 40}, (40, 73728))):
            area = Settings(cbor.encode(device_map(params=dict(PARAMS, **changes)))).params
            self.assertEqual((area.sectors, area.set_bytes_max), found)

    def test_serial_readers_and_their_sam_slots_are_taken(self):
        found = Settings(
            cbor.encode(
                device_map(
                    reader={"driver": "stx_etx", "path": "/dev/ttyS1", "profile": PROFILE},
                    sam={"driver": "reader", "slot": 2},
                )
            )
        )
        self.assertEqual((found.reader.profile.speed, found.sam.slot), (115200, 2))
        found = Settings(
            cbor.encode(
                device_map(
                    reader={"driver": "ccid", "path": "/dev/ttyS1"},
                    sam={"driver": "uart", "path": "/dev/ttyS2", "pins": "/dev/ttyS3", "slot": 3},
                )
            )
        )
        self.assertEqual((found.reader.slot, found.sam.echo, found.sam.speed_max), (0, False, 115200))

    def test_a_duty_and_displays_are_taken(self):
        found = Settings(
            cbor.encode(
                device_map(
                    duty={
                        "login": True,
                        "lines": [11, 12],
                        "progress": "gps",
                        "stops": [[11, 0, 101, 228000000, 1083000000, 40]],
                        "gps": {"path": "/dev/ttyS4"},
                        "meter": {"path": "/dev/ttyS5", "profile": METER},
                    },
                    panel=[{"driver": "st7920", "path": "/dev/spidev0.0"}],
                )
            )
        )
        self.assertEqual((found.duty.lines, found.duty.riders_max, found.duty.layer), ([11, 12], 20, -1))
        self.assertEqual((found.duty.gps["speed"], found.duty.profile.size), (9600, 16))
        self.assertEqual((found.panel[0].driver, found.panel[0].shows), ("st7920", "passenger"))
        bare = Settings(cbor.encode(device_map()))
        self.assertEqual((bare.duty.login, bare.duty.progress, bare.duty.gps, bare.panel), (False, "none", {}, []))

    def test_a_bad_fare_or_list_is_refused_in_its_own_words(self):
        self.assertIn("fare", refusal(device_map(fare={"fare_id": 1, "version": 1, "fare_fen": 0, "discounts": []})))
        self.assertIn("sorted", refusal(device_map(deny={"version": 1, "serials": bytes(20)})))

    def test_a_missing_and_a_misspelt_key_are_named(self):
        values = device_map()
        del values["host"]
        self.assertIn("host is missing", refusal(values))
        self.assertIn("sync_intervall_s is no setting", refusal(device_map(sync_intervall_s=1)))

    def test_a_longest_wait_below_the_first_is_refused(self):
        self.assertIn("backoff_max_s", refusal(device_map(backoff_first_s=10, backoff_max_s=5)))

    def test_no_value_of_a_key_is_in_a_message(self):
        self.assertNotIn("SECRETSECRET", refusal(device_map(key=b"SECRETSECRET")))

    def test_what_is_no_map_is_refused(self):
        for blob in (b"", b"\x01", b"\x80", b"\xff" * 40, cbor.encode(device_map())[:-1]):
            with self.subTest(blob=blob[:4]), self.assertRaises(BadSettings):
                Settings(blob)


if __name__ == "__main__":
    unittest.main()
