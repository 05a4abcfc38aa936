"""The deny list: cards that must not ride, by application serial number, found without loading the list.

Records of 10 bytes, sorted, behind a reader that fetches one at a time: from bytes now, from flash as well.
"""

from tunion.compat import const
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tunion.record import Bytes

SERIAL_BYTES = const(10)
SERIALS_MAX = const(100000)  # what a ministry list reserves, platform 15.2: 17 reads for one look-up


class DenyList:
    """One version of the list.

    record(index)   the serial number at `index`, 10 bytes
    count           0..SERIALS_MAX, else BadInput; so is a list that is not sorted or names a card twice: searching
                    it would let cards through
    """

    def __init__(self, version: int, count: int, record: "Callable[[int], Bytes]") -> None:
        if not 0 <= count <= SERIALS_MAX:
            raise BadInput("a deny list has at most %d serial numbers, this one %d" % (SERIALS_MAX, count))
        previous = b""
        for index in range(count):
            serial = bytes(record(index))
            if serial <= previous:
                raise BadInput("the deny list is not sorted at record %d" % index)
            previous = serial
        self.version = version
        self.count = count
        self._record = record

    def __contains__(self, serial: bytes) -> bool:
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            found = bytes(self._record(middle))
            if found == serial:
                return True
            if found < serial:
                low = middle + 1
            else:
                high = middle
        return False


def from_bytes(version: int, blob: "Bytes") -> DenyList:
    """A list held in memory; raises BadInput for a broken length or order."""
    if len(blob) % SERIAL_BYTES:
        raise BadInput("a deny list is whole serial numbers of %d bytes" % SERIAL_BYTES)
    view = memoryview(blob)
    return DenyList(
        version,
        len(blob) // SERIAL_BYTES,
        lambda index: view[index * SERIAL_BYTES : (index + 1) * SERIAL_BYTES],
    )
