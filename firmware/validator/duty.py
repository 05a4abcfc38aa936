"""Where and by whom the terminal is used now."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.settings import Settings


class Duty:
    """One terminal's duty; the tap path reads it.

    line, direction   direction 0 or 1
    stop, stop_to     codes of stop or station, 0: unknown; stop_to: where a conductor's passenger goes
    layer             of the fare grid
    riders            on the next card
    modes             degraded modes of the station: bits of tunion.fare.trip
    opened            (from_s, to_s) of the times that its exits stood open to all: validator.modes
    meter_fen         a taxi ride that waits to be paid, 0: none
    repair            what the service counter does to the next card: validator.rides.desk; (): nothing
    """

    def __init__(self, settings: "Settings") -> None:
        self.line = settings.line
        self.vehicle = settings.vehicle
        self.driver = settings.driver
        self.direction = 0
        self.stop = 0
        self.stop_to = 0
        self.layer = 0
        self.riders = 1
        self.modes = 0
        self.opened: list[tuple[int, int]] = []
        self.meter_fen = 0
        self.repair: tuple[str, int] | tuple[()] = ()
