"""The validator's HTTPS through an emulated modem, in the real MicroPython, to a TLS server: late, garbled, cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.modem import REFUSED, SimModem, load_profile
from simulator.tests.on_micropython import Driver
from simulator.tests.test_https_pin import HOST, Server
from validator.ports import NetLost

GUARD_MS = 100
WAIT_S = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def modem(tmp_path: Path, server: Server) -> Iterator[SimModem]:
    """Ends before the server, which waits for the end of its calls."""
    made = SimModem({**load_profile(), "guard_ms": GUARD_MS, "boot_ms": 200}, tmp_path / "modem")
    yield made
    made.close()


@pytest.fixture
def net(modem: SimModem, server: Server) -> Iterator[Driver]:
    with Driver(["https_modem", modem.path, HOST, str(server.port), server.pin, str(GUARD_MS)]) as driver:
        yield driver


def test_requests_go_through_one_call(net: Driver, modem: SimModem, server: Server):
    for _ in range(2):
        status, _, body, *_ = net.call("post", "/d/v1/up", b"hello")
        assert (status, body) == (200, b"hello")
    assert modem.connections == 1 and server.handshakes == 1


def test_another_key_behind_the_modem_hears_nothing(modem: SimModem, server: Server):
    with Driver(["https_modem", modem.path, HOST, str(server.port), "00" * 32, str(GUARD_MS)]) as driver:
        with pytest.raises(NetLost, match="another key than the pinned one"):
            driver.call("post", "/d/v1/up", b"secret")
    modem.drop_carrier()
    server.close()
    assert server.heard == []


def test_a_late_answer_is_waited_for(net: Driver, modem: SimModem):
    modem.late_s = 0.3
    assert net.call("post", "/", b"x")[0] == 200


def test_a_call_that_was_cut_while_idle_is_made_anew(net: Driver, modem: SimModem):
    net.call("post", "/", b"x")
    modem.drop_carrier()
    assert net.call("post", "/", b"y")[0] == 200
    assert modem.connections == 2


def test_a_call_cut_in_the_middle_of_an_answer_is_lost_and_the_next_works(net: Driver, modem: SimModem):
    def cut(raw: bytes) -> bytes:
        if raw[:1] == b"\x17":          # application data
            modem.spoil = bytes
            modem.drop_carrier()
            return raw[:7]
        return raw

    modem.spoil = cut
    with pytest.raises(NetLost):
        net.call("post", "/", b"x")
    assert net.call("post", "/", b"x")[0] == 200


def test_garbled_bytes_end_the_call_and_never_become_an_answer(net: Driver, modem: SimModem):
    def garble(raw: bytes) -> bytes:
        return bytes((*raw[:-1], raw[-1] ^ 1)) if raw[:1] == b"\x17" else raw

    modem.spoil = garble
    with pytest.raises(NetLost):
        net.call("post", "/", b"x")
    modem.spoil = bytes
    assert net.call("post", "/", b"x")[0] == 200


def test_noise_instead_of_words_and_silence_end_in_a_restart_and_then_it_works(net: Driver, modem: SimModem):
    modem.spoil = lambda raw: bytes(byte ^ 0x55 for byte in raw)
    for _ in range(3):
        with pytest.raises(NetLost, match="does not answer AT"):
            net.call("post", "/", b"x")
    modem.spoil = bytes
    assert modem.restarted.wait(WAIT_S) and modem.heard[-1] == "AT+CRESET"
    assert net.call("post", "/", b"x")[0] == 200


def test_a_network_that_refuses_is_named(net: Driver, modem: SimModem):
    modem.network = REFUSED
    with pytest.raises(NetLost, match="refuses its SIM"):
        net.call("post", "/", b"x")


def test_a_server_that_nobody_can_reach_is_named(modem: SimModem, server: Server):
    server.close()
    with Driver(["https_modem", modem.path, HOST, str(server.port), server.pin, str(GUARD_MS)]) as driver:
        with pytest.raises(NetLost, match="CONNECT FAIL"):
            driver.call("post", "/", b"x")
