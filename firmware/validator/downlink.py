"""What the office offers, fetched in small steps between taps: a signed manifest, then pieces of a blob.

An upload goes first: `step` begins a request only when it is called, and it is called only when no upload is under
way. After any failure the manifest is asked for again, and what was staged is gone on with. Rules and reasons:
firmware/docs/params.md.
"""

from hashlib import sha256

from tunion import cose_sign1
from tunion.compat import const
from tunion.crypto.p256 import Verification
from tunion.record import BadInput
from tunion.wire import manifest
from validator.params import ROUNDS_A_STEP
from validator.ports import NetLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from validator.ports import Clock, Net
    from validator.settings import Settings

    class Taker(Protocol):
        """What is filled: the parameter banks, and each list. Its methods as in validator.params."""

        def choose(self, entries: "Sequence[Any]") -> "Any": ...
        def begin(self, entry: "Any") -> None: ...
        def next_offset(self) -> int: ...
        def feed(self, piece: bytes) -> None: ...
        @property
        def is_staging(self) -> bool: ...


_OK = const(200)
_NOTHING = const(404)  # the office has published nothing for this scope
_DOUBLINGS_MAX = const(10)  # of the first back-off; its limit is reached long before


class Downlink:
    """`step` at each turn without an upload under way. `busy`: a request is; turns should be short."""

    def __init__(
        self,
        net: "Net",
        takers: "Sequence[Taker]",
        clock: "Clock",
        settings: "Settings",
        below: "Callable[[int], int]",
    ) -> None:
        """takers are served in this order, one after the other. below(n) is a random number from 0 to n-1."""
        assert settings.params is not None
        self._net = net
        self._takers = takers
        self._turn = 0  # whose turn it is: the one that `_chosen` goes to
        self._clock = clock
        self._settings = settings
        self._area = settings.params
        self._below = below
        self._piece_of: Any = None  # the entry whose piece is asked for; None: the manifest is
        self._piece_bytes = 0
        self._envelope = b""  # a manifest to be verified
        self._verification: Verification | None = None
        self._known = b""  # SHA-256 of the last good manifest, and what it listed
        self._entries: list[Any] = []
        self._chosen: Any = None
        self._failures = 0
        self._wait_from_ms = clock.ticks_ms()
        self._wait_ms = self._jittered_ms(settings.backoff_first_s)  # after boot the upload goes first
        self.busy = False

    def step(self, card_present: bool) -> None:
        """Go on a little; with a card present only by taking in an answer. Raises FlashFault."""
        if self.busy:
            self._receive()
        elif card_present:
            return
        elif self._envelope:
            self._verify()
        elif self._chosen is not None:
            self._fetch()
        elif self._is_due():
            self._ask(None, manifest.manifest_path(self._area.scope))

    # -- asking -------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        return self._clock.since_ms(self._wait_from_ms) >= self._wait_ms

    def _fetch(self) -> None:
        """The next piece, once the bank is ready for it."""
        taker = self._takers[self._turn]
        if not taker.is_staging:
            self._choose(self._turn + 1)
            return
        offset = taker.next_offset()
        if offset >= 0:
            self._piece_bytes = min(manifest.PIECE_BYTES_MAX, self._chosen.bytes - offset)
            self._ask(self._chosen, manifest.blob_path(self._chosen.sha256, offset, self._piece_bytes))

    def _ask(self, piece_of: "Any", path: str) -> None:
        self._piece_of = piece_of
        self.busy = True
        try:
            self._net.get(path)
        except NetLost:
            self._fail(0)

    def _receive(self) -> None:
        try:
            response = self._net.step()
        except NetLost:
            self._fail(0)
            return
        if response is None:
            return
        self.busy = False
        if self._piece_of is not None:
            if response.status != _OK or len(response.body) != self._piece_bytes:
                self._fail(response.retry_after_s)
            else:
                self._failures = 0
                self._takers[self._turn].feed(response.body)
        elif response.status == _OK:
            self._envelope = response.body
        elif response.status == _NOTHING:
            self._rest()
        else:
            self._fail(response.retry_after_s)

    # -- the manifest -------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        """One step of the signature; the same manifest as before needs none."""
        digest = sha256(self._envelope).digest()
        try:
            if digest != self._known and not self._proven():
                return
            if digest != self._known:
                _, self._entries = manifest.decode(cose_sign1.unseal(self._envelope)[1])
        except BadInput:  # a gateway's page, a forger, another scope's manifest: nothing is known
            self._envelope = b""
            self._verification = None
            self._fail(0)
            return
        self._known = digest
        self._envelope = b""
        self._choose(0)
        self._rest()

    def _proven(self) -> bool:
        """True when the signature was found good. Raises BadInput where it is not."""
        if self._verification is None:
            name, payload, signature = cose_sign1.unseal(self._envelope)
            key = cose_sign1.named(name, self._area.keys)
            self._verification = Verification(
                key, cose_sign1.digest(payload, manifest.aad(self._area.scope)), signature
            )
            return False
        if not self._verification.step(ROUNDS_A_STEP):
            return False
        good = self._verification.good
        self._verification = None
        if not good:
            raise BadInput("the manifest's signature is wrong")
        return True

    def _choose(self, first: int) -> None:
        """For the first taker from `first` on that wants something."""
        self._chosen = None
        for turn in range(first, len(self._takers)):
            self._chosen = self._takers[turn].choose(self._entries)
            if self._chosen is not None:
                self._turn = turn
                self._takers[turn].begin(self._chosen)
                return

    # -- waiting ------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """All is well: until the next manifest, give or take a quarter, so that a fleet does not ask as one."""
        self._failures = 0
        self._wait_from_ms = self._clock.ticks_ms()
        self._wait_ms = 750 * self._area.interval_s + self._below(500 * self._area.interval_s + 1)

    def _fail(self, retry_after_s: int) -> None:
        """Back to the manifest, later: exponential with full jitter, never before the office's wish."""
        self.busy = False
        self._chosen = None
        doubled_s = self._settings.backoff_first_s << min(self._failures, _DOUBLINGS_MAX)
        self._failures += 1
        self._wait_from_ms = self._clock.ticks_ms()
        self._wait_ms = 1000 * retry_after_s + self._jittered_ms(min(self._settings.backoff_max_s, doubled_s))

    def _jittered_ms(self, most_s: int) -> int:
        return self._below(1000 * most_s + 1)
