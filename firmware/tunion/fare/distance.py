"""Distance to price: ordered bands, metres in, fen out. For the office, which makes a grid of it (tunion.fare.grid).

A gate never measures a way. The function is here so that whoever checks a grid uses the very same arithmetic.
"""

from tunion.record import BadInput, is_int


class Bands:
    """start_m for start_fen, then each *started* step adds: the remainder of a step goes to the operator.

    steps    (from_m, step_m, add_fen), from_m growing, the first at start_m
    cap_fen  the most a ride costs; 0: no limit
    """

    def __init__(
        self, start_m: int, start_fen: int, steps: "tuple[tuple[int, int, int], ...]", cap_fen: int = 0
    ) -> None:
        if not _whole(start_m) or not _whole(start_fen) or not _whole(cap_fen) or 0 < cap_fen < start_fen:
            raise BadInput("start and cap are whole metres and fen, the cap no lower than the first price")
        before = start_m
        for i in range(len(steps)):
            from_m, step_m, add_fen = steps[i]
            if not _whole(from_m) or not _whole(step_m) or not _whole(add_fen) or step_m < 1:
                raise BadInput("step %d is whole metres and fen, at least 1 m wide" % (i + 1))
            if (i == 0 and from_m != start_m) or (i > 0 and from_m <= before):
                raise BadInput("step %d begins at %d m: a gap or an overlap" % (i + 1, from_m))
            if i > 0 and (from_m - before) % steps[i - 1][1]:
                raise BadInput("step %d begins inside a step of the band before" % (i + 1))
            before = from_m
        self.start_fen = start_fen
        self.cap_fen = cap_fen
        self._steps = tuple([tuple(step) for step in steps])

    def fen(self, metres: int) -> int:
        """The price of a way of `metres`. Raises BadInput for a negative or fractional one."""
        if not _whole(metres):
            raise BadInput("a way is whole metres, 0 or more")
        fare_fen = self.start_fen
        for i in range(len(self._steps)):
            from_m, step_m, add_fen = self._steps[i]
            to_m = self._steps[i + 1][0] if i + 1 < len(self._steps) else metres
            within_m = min(metres, to_m) - from_m
            if within_m <= 0:
                break
            fare_fen += add_fen * ((within_m + step_m - 1) // step_m)  # a started step is a whole one
        return min(fare_fen, self.cap_fen) if self.cap_fen else fare_fen


def _whole(number: int) -> bool:
    return is_int(number) and number >= 0


# Published: 2 yuan to 4 km, then 1 yuan for each started 4 km to 12 km, 6 km to 24 km, 8 km beyond. No cap.
GUANGZHOU = Bands(4000, 200, ((4000, 4000, 100), (12000, 6000, 100), (24000, 8000, 100)))
