"""crypto.purchase: what a purchase costs a soft SAM on the emulated Cortex-M3, native ciphers against plain Python."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import board
from tools.bench import Figure

PROGRAM = """
import gc
from tunion.crypto import {cipher}, keys

if {plain}:
    from tunion.crypto import {cipher}_plain as twin
    {cipher}.crypt_block, {cipher}.expand_key = twin.crypt_block, twin.expand_key

suite = keys.SUITES[{algorithm}]
MASTER, ISSUER, SERIAL = bytes(range(16)), bytes(range(8)), bytes(range(10))

def purchase(known):
    card = known or keys.card_key(suite, MASTER, ISSUER, SERIAL)
    session = keys.purchase_session(suite, card, b"RAND", 7, 8)
    suite.mac(session, keys.PURCHASE_MAC1.pack(amount_fen=200, type=6, terminal=bytes(6), at=bytes(7)))
    suite.mac(session, keys.PURCHASE_MAC2.pack(amount_fen=200))
    return card

known = purchase(None)
gc.collect()
since = instructions()
purchase(None)
whole = spent(since)
gc.collect()
since = instructions()
purchase(known)
print(whole, spent(since))
"""


def purchase() -> Iterator[Figure]:
    """From the root key (two derivations, session key, MAC1, MAC2), and with the card's key at hand."""
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder))
        for name, cipher, algorithm in (("3des", "des", 0), ("sm4", "sm4", 4)):
            whole, known = _instructions(rom, cipher, algorithm, False)
            plain, plain_known = _instructions(rom, cipher, algorithm, True)
            yield Figure(f"crypto.purchase.{name}", whole, "instr", "plain Python", plain)
            yield Figure(f"crypto.purchase.{name}.card_known", known, "instr", "plain Python", plain_known)


def _instructions(rom: Path, cipher: str, algorithm: int, plain: bool) -> list[int]:
    program = PROGRAM.format(cipher=cipher, algorithm=algorithm, plain=plain)
    return [int(count) for count in board.run(program, rom).split()]
