"""One HTTP exchange in small steps, over a line that behaves as servers and mobile networks do."""

import unittest

from support.manual_clock import ManualClock
from validator.drivers.https import BODY_BYTES_MAX, HEAD_BYTES_MAX, SILENCE_MS_MAX, Https
from validator.drivers.tls_line import public_key_info
from validator.ports import NetLost, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
STEPS_MAX = 20000


class ScriptedLine:
    """A connection that takes and gives `piece` bytes at a time. `answers`: one per connection and request, in order.

    b"" as an answer closes the connection after the request; a silent server is one without answers.
    """

    advanced = 0

    def __init__(self, answers, piece=7):
        self.answers = list(answers)
        self.piece = piece
        self.requests = []
        self.connections = 0
        self._open = False
        self._got = b""
        self._out = b""
        self._closing = False

    def proven(self):
        return self._open

    def step(self):
        if self._open:
            return True
        self._open = True
        self._got = self._out = b""
        self._closing = False
        self.connections += 1
        return False

    def send(self, data):
        taken = bytes(data[: self.piece])
        self._got += taken
        head, _, body = self._got.partition(b"\r\n\r\n")
        whole = b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
        if whole and self.answers and not self._closing:
            self.requests.append(self._got)
            self._got = b""
            self._out = self.answers.pop(0)
            self._closing = self._out == b""
        return len(taken)

    def receive_into(self, buffer):
        if self._closing:
            self.close()
            raise NetLost("closed")
        count = min(self.piece, len(self._out), len(buffer))
        buffer[:count] = self._out[:count]
        self._out = self._out[count:]
        return count

    def close(self):
        self._open = False

    def drop_when_next_used(self):
        """The server closes an idle connection; we notice when we use it."""
        self._closing = True


def answered(net):
    for _ in range(STEPS_MAX):
        response = net.step()
        if response is not None:
            return response
    raise AssertionError("no answer in %d steps" % STEPS_MAX)


def net_over(*answers, piece=7):
    line = ScriptedLine(answers, piece)
    return Https(line, "clearing.example", ManualClock()), line


class Exchange(unittest.TestCase):
    def test_request_and_answer_in_pieces_of_any_size(self):
        for piece in (1, 2, 7, 100, 5000):
            with self.subTest(piece=piece):
                net, line = net_over(OK, piece=piece)
                net.start("/d/v1/up", [b"\x00\r\n\r\nbody"])
                self.assertEqual(answered(net), Response(200, 0, b"hello"))
                self.assertEqual(
                    line.requests,
                    [
                        b"POST /d/v1/up HTTP/1.1\r\nHost: clearing.example\r\nContent-Type: application/cose\r\n"
                        b"Content-Length: 9\r\n\r\n\x00\r\n\r\nbody"
                    ],
                )

    def test_reconnect_drops_the_connection_and_the_next_request_makes_one(self):
        net, line = net_over(OK, OK)
        net.start("/d/v1/up", [b"one"])
        answered(net)
        net.reconnect()
        net.start("/d/v1/up", [b"t", bytearray(b"w"), b"", memoryview(bytearray(b"of"))[:1]])
        self.assertEqual(answered(net).body, b"hello")
        self.assertEqual((line.connections, line.requests[1][-7:]), (2, b"\r\n\r\ntwo"))

    def test_the_connection_is_kept_and_used_again(self):
        net, line = net_over(OK, OK)
        for _ in range(2):
            net.start("/", [b"x"])
            answered(net)
        self.assertEqual(line.connections, 1)

    def test_a_server_that_wants_to_close_gets_a_new_connection_next_time(self):
        for head in (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"):
            net, line = net_over(head + b"Content-Length: 0\r\n\r\n", OK)
            for _ in range(2):
                net.start("/", [b"x"])
                answered(net)
            self.assertEqual(line.connections, 2)

    def test_an_idle_connection_that_the_server_closed_costs_one_more_connection_and_no_error(self):
        net, line = net_over(OK, OK, OK)
        net.start("/", [b"first"])
        answered(net)
        line.drop_when_next_used()
        net.start("/", [b"second"])
        self.assertEqual(answered(net).status, 200)
        self.assertEqual(line.connections, 2)

    def test_a_fresh_connection_that_breaks_is_lost(self):
        net, line = net_over(b"")
        net.start("/", [b"x"])
        self.assertRaises(NetLost, answered, net)
        self.assertEqual(line.connections, 1)
        self.assertIsNone(net.step())

    def test_a_request_under_way_is_dropped_with_its_connection(self):
        net, line = net_over(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
        net.start("/", [b"old"])
        while not line.requests:
            net.step()
        net.start("/", [b"new"])
        self.assertEqual(answered(net).body, b"new")
        self.assertEqual(line.connections, 2)

    def test_silence_is_an_error_after_its_limit_and_not_before(self):
        net, line = net_over()
        clock = net._clock
        net.start("/", [b"x"])
        for _ in range(200):
            net.step()
        for rest_ms in (SILENCE_MS_MAX, 1):
            self.assertIsNone(net.step())
            clock.advance_ms(rest_ms)
        self.assertRaises(NetLost, net.step)
        self.assertFalse(line.proven())


class Answers(unittest.TestCase):
    def status_of(self, answer):
        net, _ = net_over(answer, piece=700)
        net.start("/", [b"x"])
        return answered(net)

    def test_what_the_sync_needs_of_the_head(self):
        for head, expected in (
            (b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\ncontent-length: 0", Response(503, 30, b"")),
            (b"HTTP/1.1 429 \r\nCONTENT-LENGTH: 0\r\nretry-after: 99999999", Response(429, 86400, b"")),
            (b"HTTP/1.1 503 B\r\nRetry-After: Fri, 31 Dec 2025\r\nContent-Length: 0", Response(503, 0, b"")),
            (b"HTTP/1.1 204 No Content\r\nServer: x", Response(204, 0, b"")),
        ):
            with self.subTest(head=head):
                self.assertEqual(self.status_of(head + b"\r\n\r\n"), expected)

    def test_an_answer_of_the_largest_size_and_one_byte_more(self):
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        largest = self.status_of(whole % BODY_BYTES_MAX + bytes(BODY_BYTES_MAX))
        self.assertEqual(len(largest.body), BODY_BYTES_MAX)
        with self.assertRaises(NetLost):
            self.status_of(whole % (BODY_BYTES_MAX + 1) + bytes(BODY_BYTES_MAX + 1))

    def test_what_is_no_answer_of_ours_is_lost(self):
        for answer in (
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nthree",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_BYTES_MAX,
        ):
            with self.subTest(answer=answer[:30]):
                self.assertRaises(NetLost, self.status_of, answer)


class Pins(unittest.TestCase):
    # tbsCertificate of version, serial, algorithm, issuer, validity, subject, key; contents are markers
    KEY = b"\x30\x81\x82" + b"k" * 0x82
    REST = b"\x02\x01\x07\x30\x01a\x30\x01i\x30\x01v\x30\x01s" + KEY + b"\xa3\x01x"

    def certificate(self, tbs):
        tbs = b"\x30\x82" + len(tbs).to_bytes(2, "big") + tbs
        whole = tbs + b"\x30\x01a\x03\x01s"
        return b"\x30\x82" + len(whole).to_bytes(2, "big") + whole

    def test_the_key_is_found_with_and_without_a_version(self):
        self.assertEqual(public_key_info(self.certificate(b"\xa0\x03\x02\x01\x02" + self.REST)), self.KEY)
        self.assertEqual(public_key_info(self.certificate(self.REST)), self.KEY)

    def test_a_certificate_cut_anywhere_is_no_crash(self):
        whole = self.certificate(self.REST)
        for end in range(len(whole)):
            self.assertRaises(NetLost, public_key_info, whole[:end])
        for tbs in (b"", b"\x30", b"\x02\x01", b"\x30\x84\xff\xff\xff\xff"):
            self.assertRaises(NetLost, public_key_info, self.certificate(tbs))


if __name__ == "__main__":
    unittest.main()
