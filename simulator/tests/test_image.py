"""The JSON image: whole, checked, named when wrong, and never a key in a message."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from simulator.image import CardImage, ImageError, Key, Proof, PsamImage
from simulator.personalise import EXAMPLES, IMAGES, TEST_MASTERS, card_image, example_card, example_dual, example_psam

DOCS = Path(__file__).parents[1] / "docs" / "image.md"


def full_card() -> CardImage:
    """A card with something in every field."""
    image = example_card()
    image.records = {0x18: [bytes(23)], 0x19: [b"\x01"], 0x1A: [bytes(128), b""], 0x1E: [bytes(48)] * 30}
    image.last_proof = Proof(9, 21, b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
    image.keys["purchase"].append(Key(0x41, 2, 4, bytes(16)))
    image.limit_fen, image.balance_fen = 800, -300
    image.uid, image.historical, image.blocked = None, b"\x80\x01", "application"
    image.mac1_failures, image.unblock_failures = 1, 2
    image.settings.empty_record, image.settings.balance_p1 = "FF", (0, 1)
    return image


def test_what_is_saved_is_what_is_loaded(tmp_path: Path):
    for image in (full_card(), example_dual(), example_psam()):
        image.save(tmp_path / "image.json")
        assert type(image).load(tmp_path / "image.json") == image
    assert [path.name for path in tmp_path.iterdir()] == ["image.json"]      # no temporary file is left


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_sample_images_are_what_personalise_makes(name: str):
    kind = PsamImage if "psam" in name else CardImage
    assert kind.load(IMAGES / name) == EXAMPLES[name]()


WRONG = [
    (("purse", "balance_fen"), 50.0, "purse: balance_fen must be a whole number"),
    (("purse", "balance_fen"), -1, "purse: balance_fen must be a whole number from 0 to"),
    (("purse", "balance_fen"), True, "purse: balance_fen must be a whole number"),
    (("purse", "limit_fen"), 1 << 24, "purse: limit_fen must be"),
    (("purse", "offline_counter"), 65536, "purse: offline_counter must be"),
    (("aid",), "A000", "aid must be 5 to 16 bytes in hex, not 2"),
    (("aid",), 5, "aid must be hex digits"),
    (("uid",), "0102030405", "uid must be 4 or 7 bytes in hex, not 5"),
    (("fci",), "6F00", None),
    (("fci",), "6F05A5039F0C00", "9F0C must repeat files.15"),
    (("fci",), "6F7F00", "fci is no whole TLV"),
    (("files", "15"), "00" * 29, "files: 15 must be 30 bytes"),
    (("files", "1B"), "00", "files: does not know 1B"),
    (("records", "18"), ["00" * 23] * 11, "records: 18 must be a list of at most 10"),
    (("records", "1E"), ["00" * 47], r"records: 1E\[0\] must be 48 bytes"),
    (("keys", "purchase"), [], "keys: purchase must be a list with at least one"),
    (("keys", "tac", 0, "value"), "12", r"keys: tac\[0\]: value must be 8 or 16 bytes"),
    (("keys", "tac", 0, "algorithm"), 1, r"keys: tac\[0\].algorithm: 0 \(3DES\)"),
    (("keys", "maintenance", 0, "algorithm"), 4, "algorithm: 0"),
    (("blocked",), "maybe", 'blocked must be "no" or "application" or "permanent" or "card"'),
    (("settings", "wrong_le"), "6C", "settings: wrong_le must be"),
    (("settings", "mac1_trys"), 3, "settings: does not know mac1_trys"),
    (("test_keys",), False, "test_keys must be true"),
    (("format",), "yikatong-card/2", "format must be"),
    (("last_proof",), {"type": 9}, "last_proof: counter is missing"),
    (("purse",), [], "purse: must be an object"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
def test_a_wrong_field_is_named(place: tuple[Any, ...], value: object, message: str | None):
    top = example_card().to_json()
    at: Any = top
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    if message is None:
        CardImage.from_json(top)
    else:
        with pytest.raises(ImageError, match=message):
            CardImage.from_json(top, "x.json")


@pytest.mark.parametrize("field", ["format", "aid", "fci", "files", "purse", "keys"])
def test_a_missing_field_is_named(field: str):
    top = example_card().to_json()
    del top[field]
    with pytest.raises(ImageError, match=f"x.json: {field} is missing"):
        CardImage.from_json(top, "x.json")


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "must be an object"), ("", "not JSON")])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "image.json"
    path.write_text(text)
    with pytest.raises(ImageError, match=f"{path}.*{message}"):
        CardImage.load(path)
    with pytest.raises(ImageError, match="No such file.*name an image"):
        PsamImage.load(tmp_path / "absent.json")


def test_no_message_and_no_repr_shows_a_key():
    top = example_card().to_json()
    key = top["keys"]["purchase"][0]["value"]
    for broken in (key + "0", key + "00", key[:-1] + "x"):
        top["keys"]["purchase"][0]["value"] = broken
        with pytest.raises(ImageError) as caught:
            CardImage.from_json(top)
        assert key[:8] not in str(caught.value)
    shown = repr(example_card()) + repr(example_psam()) + repr(TEST_MASTERS)
    assert key[:8].lower() not in shown.lower() and "\\x11\\x11" not in shown


def test_every_field_stands_in_the_documentation():
    text = DOCS.read_text(encoding="utf-8")
    names: set[str] = set()

    def collect(value: Any) -> None:
        for name, inner in value.items() if isinstance(value, dict) else ():
            names.add(name)
            collect(inner)
        for inner in value if isinstance(value, list) else ():
            collect(inner)

    collect(full_card().to_json())
    collect(example_psam().to_json())
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_the_example_in_the_documentation_is_a_card():
    example = re.search(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    assert CardImage.from_json(json.loads(example.group(1))).serial == example_card().serial


@pytest.mark.parametrize("balance_fen", [-1, 1 << 31])
def test_a_card_is_not_personalised_with_a_balance_its_purse_cannot_hold(balance_fen: int):
    with pytest.raises(ValueError, match="the balance must lie"):
        card_image(
            TEST_MASTERS, bytes(8), bytes(10), city=bytes(2), province=bytes(2), start=bytes(4), expiry=bytes(4),
            balance_fen=balance_fen,
        )  # fmt: skip
