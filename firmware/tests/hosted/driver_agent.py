"""Serves one driver to a test on the host, as JSON lines: INTERPRETER driver_agent.py KIND ARGUMENT...

    <- ["poll", [500]]               method and arguments; {"hex": "80CA"} stands for bytes
    -> {"value": {"hex": "08..."}}   or {"error": "LinkLost", "words": "..."}

The first line it writes is {"value": null}: the driver is made, and not yet open.
"""

import json
import sys

from boards.common.clock import SystemClock
from tunion.card.product import NATIONAL
from tunion.card.purse import INITIALIZE_FOR_PURCHASE
from tunion.card.refusals import CardRefused, LinkLost, Unproven
from tunion.record import BadInput
from validator.ports import Forgotten, Identity, NetLost, ReaderLost, SamLost, TwoCards

if sys.implementation.name == "micropython":
    from boards.unix.board import UnixBoard as Board
else:
    from boards.desk.board import DeskBoard as Board

BOARD = Board()
CLOCK = SystemClock(BOARD.time)


def pcsc_reader(name):
    from validator.drivers.pcsc import PcscReader

    return PcscReader(BOARD.pcsc(), name)


def pn532(path):
    from validator.drivers.pn532 import Pn532

    return Pn532(BOARD.line(path), CLOCK)


def stx_etx(path, profile_path):
    from validator.drivers.stx_etx import StxEtx
    from validator.drivers.stx_etx_profile import Profile

    with open(profile_path) as file:
        profile = Profile(json.load(file))
    return StxEtx(BOARD.line(path), CLOCK, profile)


def stx_etx_sam(path, profile_path, number):
    return Signer(stx_etx(path, profile_path).slot(int(number)))


def ccid(path):
    from validator.drivers.ccid_serial import CcidReader

    return CcidReader(BOARD.line(path, form="8N2"), CLOCK)


def ccid_sam(path, number):
    return Signer(ccid(path).slot(int(number)))


def sam_uart(path, pins, number, echo):
    from boards.common.pins import LinePins
    from validator.drivers.sam_uart import SamLine, SamUart

    wire = SamLine(BOARD.line(path, 9600, "8E2"), LinePins(BOARD.line(pins)), CLOCK, echo=echo == "echo")
    return Signer(SamUart(wire, CLOCK, int(number)))


def sam_slot(name):
    from validator.drivers.pcsc import PcscSlot

    return Signer(PcscSlot(BOARD.pcsc(), name))


def https(host, port, pin):
    from validator.drivers.https import Https
    from validator.drivers.tcp_dial import TcpDial
    from validator.drivers.tls_line import TlsLine

    return Post(Https(TlsLine(host, TcpDial(host, int(port)), (bytes.fromhex(pin),)), host, CLOCK))


def https_modem(path, host, port, pin, guard_ms):
    from validator.drivers.https import Https
    from validator.drivers.modem import Modem
    from validator.drivers.modem_profile import ModemProfile
    from validator.drivers.tls_line import TlsLine

    with open(__file__.rsplit("/", 3)[0] + "/validator/profiles/modems/sample_modem_transparent.json") as file:
        values = json.load(file)
    values["guard_ms"] = int(guard_ms)
    values["boot_ms"] = 200
    modem = Modem(BOARD.line(path), CLOCK, ModemProfile(values), host, int(port))
    return Post(Https(TlsLine(host, modem, (bytes.fromhex(pin),)), host, CLOCK))


def nor_file(path):
    from validator.drivers.nor_file import NorFile

    return NorFile(path, sectors=16)


class Signer:
    """A SamSlot whose `sign` takes the card's INITIALIZE answer as it came."""

    def __init__(self, slot):
        from validator.drivers.sam_slot import SamSlot

        self._sam = SamSlot(slot, CLOCK)
        self.transceive = slot.transceive
        self.open = self._sam.open
        self.check = self._sam.check
        self.block_mac = self._sam.block_mac
        self.close = getattr(slot, "close", None)

    def terminal(self):
        return self._sam.terminal

    def sign_offer(self, offer, card, amount_fen, type, at):
        return self._sam.sign(INITIALIZE_FOR_PURCHASE.decode(offer), card, amount_fen, type, at)


class Post:
    """A whole POST as one call, and how long its longest step took."""

    def __init__(self, net):
        self._net = net

    def post(self, path, body):
        self._net.start(path, [body])
        longest_us = steps = 0
        response = None
        while response is None:
            started_us = BOARD.time.ticks_us()
            response = self._net.step()
            longest_us = max(longest_us, BOARD.time.ticks_diff(BOARD.time.ticks_us(), started_us))
            steps += 1
        return [response.status, response.retry_after_s, response.body, longest_us, steps]


def to_wire(value):
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    return value


def from_wire(value):
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else Identity(*(from_wire(value["identity"]) + [NATIONAL]))
    return [from_wire(item) for item in value] if isinstance(value, list) else value


def serve(driver):
    print(json.dumps({"value": None}))
    for line in sys.stdin:
        method, arguments = json.loads(line)
        try:
            answer = {"value": to_wire(getattr(driver, method)(*from_wire(arguments)))}
        except (
            ReaderLost, SamLost, Forgotten, NetLost, TwoCards, LinkLost, CardRefused, Unproven, BadInput
        ) as error:  # fmt: skip
            name = "ReaderLost" if isinstance(error, ReaderLost) else type(error).__name__
            answer = {"error": name, "words": str(error), "sw": getattr(error, "sw", 0)}
        print(json.dumps(answer))


if __name__ == "__main__":
    kinds = {
        "pcsc": pcsc_reader,
        "pn532": pn532,
        "stx_etx": stx_etx,
        "stx_etx_sam": stx_etx_sam,
        "ccid": ccid,
        "ccid_sam": ccid_sam,
        "sam": sam_slot,
        "sam_uart": sam_uart,
        "https": https,
        "https_modem": https_modem,
        "nor": nor_file,
    }
    serve(kinds[sys.argv[1]](*sys.argv[2:]))
