"""From the list fare to the amount: all discounts of one ride, rounded once.

    1  percent: card kind, hours, monthly tier, transfer. Multiplied exactly, in whatever order; then
       rounded once, half a fen to the operator
    2  the transfer's amount is taken off, down to 0
    3  cut down to whole `cut_fen` where the table says so; the remainder goes to the passenger
    4  companions who ride on the same card: each the list fare, no discount
"""

from tunion.fare.flat import Price
from tunion.money import divide_half_away
from tunion.record import BadInput, is_int


def price(list_fen: int, permilles: "list[int]", off_fen: int = 0, cut_fen: int = 1, riders: int = 1) -> Price:
    """(list_fen, discount_fen, amount_fen) of all riders together. Never below 0, never above the list fare.

    permilles  what is taken off, each 0..1000
    cut_fen    1: whole fen; 10: whole jiao
    """
    if not is_int(list_fen) or list_fen < 0 or not is_int(off_fen) or off_fen < 0:
        raise BadInput("a fare and an amount off are whole fen, 0 or more")
    if not is_int(cut_fen) or cut_fen < 1 or not is_int(riders) or riders < 1:
        raise BadInput("a fare is cut to at least 1 fen, for at least 1 rider")
    kept = list_fen
    whole = 1
    for permille in permilles:
        if not is_int(permille) or not 0 <= permille <= 1000:
            raise BadInput("a discount is 0 to 1000 permille")
        if permille:
            kept *= 1000 - permille
            whole *= 1000
    amount_fen = max(0, divide_half_away(kept, whole) - off_fen)
    if amount_fen < list_fen:  # an undiscounted fare is charged as the table says
        amount_fen -= amount_fen % cut_fen
    discount_fen = list_fen - amount_fen
    return Price(riders * list_fen, discount_fen, riders * list_fen - discount_fen)
