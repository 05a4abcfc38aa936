"""Commands as declarations, and the one function that sends them.

A `Command` row says what goes out, what comes back, and what each refusal means. The virtual card dispatches on
the same rows. Short APDUs, ISO 7816-4.
"""

from tunion.card.refusals import CardRefused, LinkLost
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from tunion.record import Record

    class Link(Protocol):
        def transceive(self, apdu: bytes, wait_ms: int) -> bytes: ...


OK = 0x9000
WAIT_MS = 1000  # a card answers within 300 ms; a load from memory that wears may take longer


class Command:
    """One command of a card or SAM.

    head      CLA INS P1 P2; `p1` and `p2` given to `encode` replace the last two
    data      Record of the command data, or None: then `raw` bytes go out as they are
    reply     Record of the response data, or None: then the bytes come back as they are
    le        expected length to send; None sends none
    refusals  status word -> CardRefused class
    """

    def __init__(
        self,
        name: str,
        head: bytes,
        data: "Record | None" = None,
        reply: "Record | None" = None,
        le: "int | None" = None,
        refusals: "dict[int, type[CardRefused]] | None" = None,
    ) -> None:
        if len(head) != 4:
            raise BadInput("%s: a command's head is CLA INS P1 P2" % name)
        self.name = name
        self.head = head
        self.data = data
        self.reply = reply
        self.le = le
        self.refusals = refusals or {}

    def encode(
        self,
        raw: bytes = b"",
        p1: "int | None" = None,
        p2: "int | None" = None,
        le: "int | None" = None,
        **values: "Any",
    ) -> bytes:
        """The APDU. Data come from `values` where the command declares a record, else from `raw`.

        Raises BadInput for values that do not fit the record, and for what this command has no place for.
        """
        if raw if self.data else values:
            raise BadInput("%s takes %s" % (self.name, "no raw data" if self.data else "raw data only"))
        head = self.head[:2] + bytes((self.head[2] if p1 is None else p1, self.head[3] if p2 is None else p2))
        body = self.data.pack(**values) if self.data else raw
        if len(body) > 255:
            raise BadInput("%s: %d data bytes do not fit a short APDU" % (self.name, len(body)))
        expected = self.le if le is None else le
        out = head + (bytes((len(body),)) + body if body else b"")
        return out if expected is None else out + bytes((expected,))

    def decode(self, response: bytes) -> "Any":
        """The reply of `9000`; raises the declared CardRefused for other status words, LinkLost for a stump."""
        if len(response) < 2:
            raise LinkLost("%s: the answer broke off" % self.name)
        sw = response[-2] << 8 | response[-1]
        if sw != OK:
            raise self.refusals.get(sw, CardRefused)(sw, self.name)
        body = response[:-2]
        if self.reply is None:
            return body
        if len(body) < self.reply.size:
            raise LinkLost("%s: the answer is too short" % self.name)
        return self.reply.unpack(body)


class Card:
    """A card or SAM at the other end of a link, spoken to in declared commands."""

    def __init__(self, link: "Link", wait_ms: int = WAIT_MS) -> None:
        self._link = link
        self._wait_ms = wait_ms

    def send(self, command: Command, **values: "Any") -> "Any":
        """One command and its reply. Follows 61xx with GET RESPONSE and 6Cxx with the right Le, once each.

        Raises LinkLost when no whole answer came, CardRefused when the card said no.
        """
        apdu = command.encode(**values)
        had_le = command.le is not None or values.get("le") is not None
        return self.taken(command, apdu, had_le, self._link.transceive(apdu, self._wait_ms))

    def taken(self, command: Command, apdu: bytes, had_le: bool, response: bytes) -> "Any":
        """The reply of a command whose first answer is here already; as `send` from there on."""
        if len(response) == 2 and response[0] == 0x6C:
            response = self._link.transceive((apdu[:-1] if had_le else apdu) + response[1:], self._wait_ms)
        if len(response) == 2 and response[0] == 0x61:
            response = self._link.transceive(b"\x00\xc0\x00\x00" + response[1:], self._wait_ms)
        return command.decode(response)
