"""The PC/SC library through pyscard, for validator.drivers.pcsc.

Through pyscard's functions, which are those of winscard.h: its classes poll and share in ways of their own, and the
driver keeps the states already. Bytes travel as lists of numbers.
"""

from smartcard import scard


class Pyscard:
    """pyscard in the shape that the driver takes. Without libpcsclite every call fails as without pcscd."""

    release = staticmethod(scard.SCardReleaseContext)
    disconnect = staticmethod(scard.SCardDisconnect)

    def establish(self, scope: int) -> tuple[int, int]:
        """Return code, context."""
        rc, context = scard.SCardEstablishContext(scope)
        return rc, context

    def status_change(self, context: int, name: str, known: int, wait_ms: int) -> tuple[int, int]:
        """Return code, event state of the reader `name`."""
        rc, [(_, state, _)] = scard.SCardGetStatusChange(context, wait_ms, [(name, known)])
        return rc, state

    def connect(self, context: int, name: str, share: int, protocols: int) -> tuple[int, int, int]:
        """Return code, card, protocol."""
        rc, card, protocol = scard.SCardConnect(context, name, share, protocols)
        return rc, card, protocol

    def transmit(self, card: int, protocol: int, apdu: bytes | memoryview) -> tuple[int, bytes]:
        """Return code, answer. pyscard's constants for the two protocols are the protocols' numbers."""
        rc, answer = scard.SCardTransmit(card, protocol, list(apdu))
        return rc, bytes(answer)
