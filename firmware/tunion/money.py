"""Whole fen, and the one place that divides them."""


def divide_half_away(value: int, divisor: int) -> int:
    """`value / divisor`, half away from zero: -1.5 is -2, 1.5 is 2. `divisor` > 0.

    The absolute value is rounded and the sign put back, because engines disagree about dividing negatives.
    Source: the clearing rule of one rounding a line, and JT/T practice for discounted fares.
    """
    rounded = (2 * abs(value) + divisor) // (2 * divisor)
    return -rounded if value < 0 else rounded


def after_discount_fen(fare_fen: int, discount_permille: int) -> int:
    """Fare left to pay. Half a fen goes to the operator: 285 at 50 permille is 270.75, so 271."""
    return divide_half_away(fare_fen * (1000 - discount_permille), 1000)


def yuan(amount_fen: int) -> str:
    """For displays and reports only: 250 is "2.50", -5 is "-0.05"."""
    return "%s%d.%02d" % ("-" if amount_fen < 0 else "", abs(amount_fen) // 100, abs(amount_fen) % 100)
