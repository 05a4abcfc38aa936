"""The PC/SC library through pyscard, for validator.drivers.pcsc and for programs on a PC.

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

    # --- what only programs on a PC ask for

    def readers(self, context: int) -> tuple[int, list[str]]:
        """Return code, names of all readers."""
        rc, names = scard.SCardListReaders(context, [])
        return rc, list(names)

    def reset(self, card: int, share: int, protocols: int) -> tuple[int, int]:
        """Reset the card and keep it: return code, protocol."""
        rc, protocol = scard.SCardReconnect(card, share, protocols, scard.SCARD_RESET_CARD)
        return rc, protocol

    def atr(self, card: int) -> tuple[int, bytes]:
        """Return code, the card's answer to reset."""
        rc, _, _, _, atr = scard.SCardStatus(card)
        return rc, bytes(atr)
