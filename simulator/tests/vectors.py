"""The test vectors of the card notes, by flow. Invented keys; see simulator/personalise.py."""

import json
from pathlib import Path
from typing import Any

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "firmware" / "tests" / "vectors" / "card_vectors.json").read_text()
)
PURCHASES = ("plain_purchase", "capp_metro_entry", "capp_metro_exit", "capp_bus_on")

SELECT_EPURSE = "00A4040008A000000632010105"
SELECT_SAM = "00A40000028011"
