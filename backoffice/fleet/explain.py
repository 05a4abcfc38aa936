"""A tariff in words for the person who approves it: prices, rules, and worked examples, 中文 and English."""

from collections.abc import Iterator

from backoffice.store.days import local
from tunion.fare import decision, month, transfer
from tunion.fare.grid import NO_RIDE, ONWARD, SQUARE, Grid
from tunion.fare.samples import KEY
from tunion.fare.tariff import FLAT, METER, Tariff
from tunion.money import yuan

MODES = {
    0x01: "地铁 metro", 0x02: "公交 bus", 0x04: "出租 taxi", 0x08: "客运 coach", 0x09: "轮渡 ferry",
    0x0A: "城际 intercity rail", 0x0C: "收费 toll",
}  # fmt: skip
_DAYS = ((1, "工作日 workdays"), (2, "周末 weekends"), (4, "假日 holidays"))
_VISITORS = ((1, "卡种 kind"), (2, "时段 hours"), (4, "月累计 month"), (8, "换乘 transfer"))
_LINES = {
    transfer.ANY_LINE: "不限线路 any line",
    transfer.NOT_BACK: "同线折返除外 not the same line back",
    transfer.OTHER_LINE: "同线除外 another line only",
}
BANDS_MAX = 24  # prices listed one by one


def lines(fare: Tariff, samples: list[list[int]]) -> Iterator[str]:
    """A few dozen lines."""
    yield f"{mode(fare.mode)}  票价表 fare {fare.fare_id} 版本 version {fare.version}"
    yield from _table(fare)
    yield from _rules(fare)
    if fare.grid is not None:
        yield from _open_ride(fare, fare.grid)
    yield "举例 examples"
    for sample in samples:
        yield "  " + _example(fare, sample)


def mode(number: int) -> str:
    """A mode's name; its number where it has none."""
    return MODES.get(number, f"行业 mode {number}")


def _table(fare: Tariff) -> Iterator[str]:
    if fare.scheme == FLAT:
        yield f"一票制 flat: {yuan(fare.table)}"
    elif fare.scheme == METER:
        low_fen, high_fen, step_fen = fare.table
        yield f"计价器 meter: {yuan(low_fen)} — {yuan(high_fen)}, 每 in steps of {yuan(step_fen)}"
    elif fare.grid is not None:
        yield from _grid(fare.grid)


def _grid(grid: Grid) -> Iterator[str]:
    shape = {ONWARD: "沿线 along a line", SQUARE: "按方向 each way its own"}.get(grid.shape, "双向同价 both ways alike")
    yield (
        f"{shape}: {grid.places} 站 places {grid.code(0)} — {grid.code(grid.places - 1)}, "
        f"{grid.layers} 层 layers (方向、车型 direction, class)"
    )
    for layer in range(grid.layers):
        cells = grid.layer_cells(layer)
        priced = [(level, cells.count(level)) for level in sorted(set(cells)) if level != NO_RIDE]
        yield f"  层 layer {layer}: " + ", ".join(
            f"{yuan(grid.level_fen(level))} × {count}" for level, count in priced[:BANDS_MAX]
        ) + (f", … {len(priced)} 种 prices" if len(priced) > BANDS_MAX else "")
        missing = cells.count(NO_RIDE)
        if missing:
            yield f"    无票价 no ride between {missing} 对 pairs"


def _rules(fare: Tariff) -> Iterator[str]:
    rules = fare.rules
    for kind, permille in sorted(fare.kinds.items()):
        yield f"卡种 kind {kind}: {_off(permille)}"
    for number, (kind, days, from_min, to_min, permille) in enumerate(rules["hours"], 1):
        who = "各卡种 any kind" if kind == -1 else f"卡种 kind {kind}"
        when = ", ".join(words for bit, words in _DAYS if days & bit)
        yield f"时段 hours {number}: {_clock(from_min)}–{_clock(to_min)}, {when}, {who}: {_off(permille)}"
    if rules["month"]:
        counts, tiers = rules["month"]
        for number, (start, permille) in enumerate(tiers, 1):
            since = f"{start} 次后 from ride {start + 1}" if counts == month.RIDES else f"满 from {yuan(start)}"
            yield f"月累计 month {number}: {since}: {_off(permille)}"
    if rules["transfer"]:
        window_min, since, count_max, kept, pairs = rules["transfer"]
        begin = "首次刷卡起 from the first tap" if since == transfer.SINCE_FIRST else "上次刷卡起 from the last tap"
        yield f"换乘 transfer: {window_min} 分钟 min {begin}, 至多 at most {count_max}, {_LINES[kept]}"
        for start, end, permille, off_fen in pairs:
            off = [_off(permille)] if permille else []
            off += [f"减 less {yuan(off_fen)}"] if off_fen or not permille else []
            yield f"  {mode(start)} → {mode(end)}: {', '.join(off)}"
    if rules["cut_fen"] > 1:
        yield f"打折后抹零到 a discounted fare is cut to whole {yuan(rules['cut_fen'])}"
    if rules["riders_max"] > 1:
        yield f"同卡至多 on one card {rules['riders_max']} 人 riders, 同行者无优惠 companions pay in full"
    granted = ", ".join(words for bit, words in _VISITORS if rules["visitors"] & bit) or "无 none"
    yield f"外地卡优惠 discounts for cards of other cities: {granted}"


def _open_ride(fare: Tariff, grid: Grid) -> Iterator[str]:
    ride = fare.rules["ride"]
    overtime = "另加 beside the fare" if ride["overtime_mode"] == decision.ADDS else "代替票价 instead of the fare"
    missing_fen = ride["missing_exit_fen"] or grid.lowest_fen
    yield f"限时 time limit {ride['max_minutes']} 分钟 min"
    if grid.shape == ONWARD:
        dear = "收该程最高价 the most it may come to"
        other = dear if ride["elsewhere"] else "不收 nothing"
        yield f"未刷卡下车 not tapped off: 本线 this line {dear}; 他线 elsewhere {other}"
    else:
        repair = f"补收 charges {yuan(missing_fen)}" if ride["missing_exit"] else "到客服 to the service counter"
        yield f"超时 overtime: {yuan(ride['overtime_fen'])} {overtime}"
        yield (
            f"上次无出站 missing exit: {repair}; "
            f"{ride['free_repair_min']} 分钟内同站免费 free at the same station within min"
        )
    yield (
        f"同站进出 out where the ride began: {ride['same_free_min']} 分钟内 within min "
        f"{yuan(ride['same_free_fen'])}, 之后 later "
        + ("按表 as the table says" if grid.shape == SQUARE else "该站最低价 the cheapest ride from there")
    )


def _example(fare: Tariff, sample: list[int]) -> str:
    layer, start, end, kind, home, at_s, riders, rides, spent_fen, pair = sample[:KEY]
    list_fen, discount_fen, amount_fen = sample[KEY:]
    said = [f"卡种 kind {kind}"]
    if fare.grid is not None:
        said.insert(0, f"{start} → {end}" + (f" 层 layer {layer}" if fare.grid.layers > 1 else ""))
    if not home:
        said.append("外地卡 visitor")
    if fare.hours_row(kind, at_s) is not None:
        said.append(local(at_s)[:16])
    if riders > 1:
        said.append(f"{riders} 人 riders")
    if rides >= 0 and fare.rules["month"]:
        so_far = f"{rides} 次 rides" if fare.rules["month"][0] == month.RIDES else yuan(spent_fen)
        said.append(f"本月已 this month {so_far}")
    if pair >= 0:
        said.append("换乘自 after " + mode(fare.rules["transfer"][4][pair][0]))
    return f"{', '.join(said)}: {yuan(list_fen)} - {yuan(discount_fen)} = {yuan(amount_fen)}"


def _off(permille: int) -> str:
    """600 permille off is 四折; clerks think in what is left, the table in what is taken off."""
    if permille == 0:
        return "不打折 no discount"
    return f"减 {_tenths(permille)}% off" if permille < 1000 else "免费 free"


def _tenths(permille: int) -> str:
    return f"{permille // 10}.{permille % 10}" if permille % 10 else str(permille // 10)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"

