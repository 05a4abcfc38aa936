"""The test vectors of the card as flows, and small words to say them to a card. Keys are invented."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from simulator.card import SimCard
from simulator.field import Card
from simulator.personalise import example_card, example_psam
from simulator.psam import SimPsam
from simulator.randomness import replay

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "firmware" / "tests" / "vectors" / "card_vectors.json").read_text()
)
PURCHASES = ("plain_purchase", "capp_metro_entry", "capp_metro_exit", "capp_bus_on")

SELECT_EPURSE = "00A4040008A000000632010105"
FCI = "6F318408A000000632010105A5259F0801029F0C1E04026110FFFFFFFF02010310499900000000001720250101203512310000"
PUBLIC_FILE = "04026110FFFFFFFF02010310499900000000001720250101203512310000"
SELECT_SAM = "00A40000028011"
SAM_FCI = "6F128410A0000006324D4F542E435053414D3031"
GET_BALANCE = "805C000204"
NEWEST_LOG = "00B201C417"
CHALLENGE = "0084000004"
CHALLENGE_ANSWER = "01020304"
_MACS = VECTORS["app_block"]
BLOCK, BLOCK_FOR_GOOD, UNBLOCK = _MACS["block_temporary"], _MACS["block_permanent"], _MACS["unblock"]

PLAIN = VECTORS["plain_purchase"]
ENTRY = VECTORS["capp_metro_entry"]
LOAD = VECTORS["load"]


class Exchange(NamedTuple):
    """What is sent and what must come back, in hex."""

    command: str
    answer: str


def card_randoms() -> list[bytes]:
    """Every random number the card draws in `card_flow`, in order."""
    offers = [bytes.fromhex(VECTORS[name]["init_rsp"])[11:15] for name in PURCHASES]
    load = bytes.fromhex(LOAD["init_rsp"])[8:12]
    return [*offers, load, bytes.fromhex(CHALLENGE_ANSWER), bytes.fromhex(CHALLENGE_ANSWER)]


def card_flow() -> list[Exchange]:
    """All vectors, one after the other, as the card meets them."""
    flow = [Exchange(SELECT_EPURSE, FCI + "9000")]
    for name in PURCHASES:
        flow += purchase_flow(VECTORS[name])
    flow += [
        Exchange(LOAD["init_cmd"], LOAD["init_rsp"]),
        Exchange(LOAD["credit_cmd"], LOAD["credit_rsp"]),
        Exchange(NEWEST_LOG, LOAD["sfi18_record"] + "9000"),
        Exchange(GET_BALANCE, f"{LOAD['balance_after']:08X}9000"),
        Exchange(CHALLENGE, CHALLENGE_ANSWER + "9000"),
        Exchange(BLOCK, "9000"),
        Exchange(GET_BALANCE, "6A81"),
        Exchange(CHALLENGE, CHALLENGE_ANSWER + "9000"),
        Exchange(UNBLOCK, "9000"),
        Exchange(GET_BALANCE, f"{LOAD['balance_after']:08X}9000"),
    ]
    return flow


def purchase_flow(vector: dict[str, Any]) -> list[Exchange]:
    """One purchase and what can be read afterwards."""
    return [
        Exchange(vector["init_cmd"], vector["init_rsp"]),
        *(Exchange(update, "9000") for update in vector["update_cache"]),
        Exchange(vector["debit_cmd"], vector["debit_rsp"]),
        Exchange(vector["prove_cmd"], vector["prove_rsp"]),
        Exchange(NEWEST_LOG, vector["sfi18_record"] + "9000"),
        Exchange(GET_BALANCE, f"{vector['balance_after']:08X}9000"),
        *(Exchange(read, written + "9000") for read, written in map(_read_back, vector["update_cache"])),
    ]


def _read_back(update: str) -> tuple[str, str]:
    """The READ RECORD that returns what an UPDATE CAPP DATA CACHE wrote, and what it wrote."""
    industry, where, data = update[4:6], update[6:8], update[10:]
    if where == "F0":
        return "00B201F430", data
    return f"00B2{industry}D480", data


def sam_flow() -> list[Exchange]:
    """All vectors as the PSAM meets them."""
    flow = [Exchange("00B0960006", "6110000000429000"), Exchange(SELECT_SAM, SAM_FCI + "9000")]
    for name in PURCHASES:
        vector = VECTORS[name]
        flow.append(Exchange(vector["psam_8070_cmd"], vector["psam_8070_rsp"]))
        flow.append(Exchange(vector["psam_8072_cmd"], vector["psam_8072_rsp"]))
    block = VECTORS["app_block"]
    flow.append(Exchange(block["psam_801A_cmd"], "9000"))
    flow.append(Exchange(block["psam_80FA_cmd"], block["psam_80FA_rsp"]))
    flow.append(Exchange("00B0990004", f"{VECTORS['final_state']['tseq']:08X}9000"))
    return flow




def vector_card(**changes: Any) -> SimCard:
    """The card of the vectors with the vectors' random numbers, in a field. `changes` are settings."""
    card = SimCard(with_settings(example_card(), **changes), replay(card_randoms()))
    card.power_on()
    return card


def vector_sam(**changes: Any) -> SimPsam:
    """The PSAM of the vectors, with power. `changes` are settings."""
    sam = SimPsam(with_settings(example_psam(), **changes))
    sam.power_on()
    return sam


def with_settings(image: Any, **changes: Any) -> Any:
    for name, value in changes.items():
        if not hasattr(image.settings, name):
            raise AttributeError(name)
        setattr(image.settings, name, value)
    return image


def say(card: Card, *commands: str) -> str:
    """Send the commands; the last answer, in hex."""
    answer = b""
    for command in commands:
        answer = card.transceive(bytes.fromhex(command))
    return answer.hex().upper()


def ready_card(**changes: Any) -> SimCard:
    """As vector_card, with the application selected."""
    card = vector_card(**changes)
    assert say(card, SELECT_EPURSE).endswith("9000")
    return card


def ready_sam(**changes: Any) -> SimPsam:
    """As vector_sam, with the application selected."""
    sam = vector_sam(**changes)
    assert say(sam, SELECT_SAM).endswith("9000")
    return sam
