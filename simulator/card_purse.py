"""The money of a card: what INITIALIZE offers, what DEBIT and CREDIT change, what the proof says.

Functions of an image. DEBIT and CREDIT return a changed copy; the card stores it whole before anybody sees it.
"""

from dataclasses import dataclass, field
from typing import Any

from simulator import sw
from simulator.apdu import Apdu, Refused, need
from simulator.card_files import Update, append, apply_update
from simulator.image import BALANCE_MAX_FEN, COUNTER_MAX, LOG, CardImage, Key, Proof
from simulator.randomness import Random
from tunion.card import purse
from tunion.card.apdu import Command
from tunion.card.files import LOG_ENTRY
from tunion.crypto import keys

UPDATES_MAX = 3     # buffered in one compound purchase; terminals send one to three

_INITIALIZE: dict[int, tuple[Command, int]] = {
    command.head[2]: (command, type)
    for command, type in (
        (purse.INITIALIZE_FOR_LOAD, keys.LOAD),
        (purse.INITIALIZE_FOR_PURCHASE, keys.PURCHASE),
        (purse.INITIALIZE_FOR_COMPOUND, keys.COMPOUND),
    )
}


@dataclass
class Transaction:
    """What a card remembers between INITIALIZE and DEBIT or CREDIT, without power only until the field goes."""

    type: int
    key: Key
    amount_fen: int
    terminal: bytes
    random: bytes
    updates: list[Update] = field(default_factory=list)


def initialize(image: CardImage, apdu: Apdu, random: Random) -> tuple[Transaction, bytes]:
    """Any of the three INITIALIZE commands: the open transaction and the answer."""
    need(apdu.p2 == 0x02 and apdu.p1 in _INITIALIZE, sw.WRONG_P1P2)
    command, type = _INITIALIZE[apdu.p1]
    need(type != keys.COMPOUND or image.settings.compound, sw.WRONG_P1P2)
    asked = _unpack(command, apdu.data)
    load = type == keys.LOAD
    need((image.online_counter if load else image.offline_counter) < COUNTER_MAX, sw.COUNTER_SPENT)
    key = _key(image, "load" if load else "purchase", asked.key_index)
    if load:
        need(asked.amount_fen <= BALANCE_MAX_FEN - spendable_fen(image), sw.CONDITIONS)
    else:
        need(asked.amount_fen >= 1 or type == keys.COMPOUND, sw.WRONG_DATA)
        need(asked.amount_fen <= spendable_fen(image), sw.NOT_ENOUGH_MONEY)

    pending = Transaction(type, key, asked.amount_fen, asked.terminal, random(4))
    offer = {
        "balance_fen": spendable_fen(image),
        "key_version": key.version,
        "algorithm": key.algorithm,
        "random": pending.random,
    }
    if not load:
        return pending, _reply(command, counter=image.offline_counter, limit_fen=image.limit_fen, **offer)
    covered = keys.LOAD_MAC1.pack(
        balance_fen=spendable_fen(image), amount_fen=pending.amount_fen, type=type, terminal=pending.terminal
    )
    mac1 = keys.suite(key.algorithm).mac(_load_session(image, pending), covered)
    return pending, _reply(command, counter=image.online_counter, mac1=mac1, **offer)


def debit(image: CardImage, pending: Transaction, apdu: Apdu) -> tuple[CardImage, bytes]:
    """DEBIT FOR (CAPP) PURCHASE: the card afterwards, and the answer. Checks length, MAC1, money, in this order."""
    command = purse.DEBIT_FOR_PURCHASE
    need((apdu.p1, apdu.p2) == (command.head[2], command.head[3]), sw.WRONG_P1P2)
    asked = _unpack(command, apdu.data)
    ciphers = keys.suite(pending.key.algorithm)
    session = keys.purchase_session(
        ciphers, pending.key.value, pending.random, image.offline_counter, asked.terminal_seq
    )
    covered = keys.PURCHASE_MAC1.pack(
        amount_fen=pending.amount_fen, type=pending.type, terminal=pending.terminal, at=asked.at
    )
    need(ciphers.mac(session, covered) == asked.mac1, sw.MAC_WRONG)
    need(pending.amount_fen <= spendable_fen(image), sw.NOT_ENOUGH_MONEY)

    mac2 = ciphers.mac(session, keys.PURCHASE_MAC2.pack(amount_fen=pending.amount_fen))
    tac = _tac(image, pending, keys.PURCHASE_TAC.pack(
        amount_fen=pending.amount_fen, type=pending.type, terminal=pending.terminal,
        terminal_seq=asked.terminal_seq, at=asked.at,
    ))  # fmt: skip
    after = image.copy()
    after.balance_fen -= pending.amount_fen
    after.offline_counter += 1
    after.mac1_failures = 0
    after.last_proof = Proof(pending.type, after.offline_counter, mac2, tac)
    _log(after, pending, image.offline_counter, asked.at)
    for update in pending.updates:
        apply_update(after, update)
    return after, _reply(command, tac=tac, mac2=mac2)


def credit(image: CardImage, pending: Transaction, apdu: Apdu) -> tuple[CardImage, bytes]:
    """CREDIT FOR LOAD: the card afterwards, and the answer."""
    command = purse.CREDIT_FOR_LOAD
    need((apdu.p1, apdu.p2) == (0, 0), sw.WRONG_P1P2)
    asked = _unpack(command, apdu.data)
    covered = keys.LOAD_MAC2.pack(
        amount_fen=pending.amount_fen, type=pending.type, terminal=pending.terminal, at=asked.at
    )
    expected = keys.suite(pending.key.algorithm).mac(_load_session(image, pending), covered)
    need(expected == asked.mac2, sw.MAC_WRONG)

    after = image.copy()
    after.balance_fen += pending.amount_fen
    after.online_counter += 1
    tac = _tac(image, pending, keys.LOAD_TAC.pack(
        balance_fen=spendable_fen(after), counter=image.online_counter, amount_fen=pending.amount_fen,
        type=pending.type, terminal=pending.terminal, at=asked.at,
    ))  # fmt: skip
    after.last_proof = Proof(pending.type, after.online_counter, asked.mac2, tac)
    _log(after, pending, image.online_counter, asked.at)
    return after, _reply(command, tac=tac)


def prove(image: CardImage, apdu: Apdu) -> bytes:
    """GET TRANSACTION PROVE: only the exact counter of the last completed transaction, of this type."""
    command = purse.GET_TRANSACTION_PROVE
    need(apdu.p1 == 0, sw.WRONG_P1P2)
    asked = _unpack(command, apdu.data)
    proof = image.last_proof
    if proof is None or (proof.type, proof.counter) != (apdu.p2, asked.counter):
        raise Refused(sw.NO_PROOF)
    return _reply(command, mac2=proof.mac2, tac=proof.tac)


def balance(image: CardImage, apdu: Apdu) -> bytes:
    """GET BALANCE: one of four figures, by P1."""
    need(apdu.p2 == 0x02 and apdu.p1 in image.settings.balance_p1, sw.WRONG_P1P2)
    figures_fen = (
        spendable_fen(image),
        image.limit_fen,
        max(-image.balance_fen, 0),
        max(image.balance_fen, 0),
    )
    return _reply(purse.GET_BALANCE, balance_fen=figures_fen[apdu.p1])


def reply_bytes(apdu: Apdu) -> int | None:
    """The length of the answer to a purse command, None where it has none or is no purse command."""
    head = bytes((apdu.cla, apdu.ins))
    if head == purse.INITIALIZE_FOR_PURCHASE.head[:2]:
        head += bytes((apdu.p1,))       # which of the three
    command = _ANSWERING.get(head)
    return command.reply.size if command and command.reply else None


_ANSWERING: dict[bytes, Command] = {
    **{command.head[:3]: command for command, _ in _INITIALIZE.values()},
    **{
        command.head[:2]: command
        for command in (
            purse.DEBIT_FOR_PURCHASE, purse.CREDIT_FOR_LOAD, purse.GET_TRANSACTION_PROVE, purse.GET_BALANCE,
        )
    },
}  # fmt: skip


def spendable_fen(image: CardImage) -> int:
    """The balance as the card states it: with the overdraft limit."""
    return image.balance_fen + image.limit_fen


def _reply(command: Command, **values: Any) -> bytes:
    assert command.reply, command.name
    return command.reply.pack(**values)


def _unpack(command: Command, data: bytes) -> Any:
    assert command.data, command.name
    need(len(data) == command.data.size, sw.WRONG_LENGTH)
    return command.data.unpack(data)


def _key(image: CardImage, purpose: str, index: int) -> Key:
    """The newest version under that index: INITIALIZE names no version, its answer does."""
    found = [key for key in image.keys[purpose] if key.index == index]
    need(bool(found), sw.NO_KEY)
    return max(found, key=lambda key: key.version)


def _load_session(image: CardImage, pending: Transaction) -> bytes:
    return keys.load_session(keys.suite(pending.key.algorithm), pending.key.value, pending.random, image.online_counter)


def _tac(image: CardImage, pending: Transaction, covered: bytes) -> bytes:
    """The TAC key that goes with a transaction has the index of its purchase or load key, and its version if it can."""
    index, version = pending.key.index, pending.key.version
    same = [key for key in image.keys["tac"] if (key.index, key.version) == (index, version)]
    key = same[0] if same else _key(image, "tac", index)
    ciphers = keys.suite(key.algorithm)
    return ciphers.mac(ciphers.tac_key(key.value), covered)


def _log(image: CardImage, pending: Transaction, counter: int, at: bytes) -> None:
    append(image, LOG, LOG_ENTRY.pack(
        counter=counter, limit_fen=image.limit_fen, amount_fen=pending.amount_fen, type=pending.type,
        terminal=pending.terminal, at=at,
    ))  # fmt: skip
