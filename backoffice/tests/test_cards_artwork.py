"""The printed card: its size, its number, its two sides, and designs that cannot be drawn."""

import io
import json
from pathlib import Path

import pytest
from pypdf import PdfReader
from reportlab.lib.pagesizes import A4

from backoffice.cards import artwork
from backoffice.cards import product as products
from backoffice.cards.artwork import COMMON, LOCAL, Face

NUMBER = "3104840000000000017"
FACE = Face(NUMBER, "普通卡 2035-12-31")


def both() -> tuple[artwork.Design, artwork.Design]:
    return artwork.named("guangxi", COMMON), artwork.named("nanning", LOCAL)


def test_a_card_is_id_1_with_its_bleed() -> None:
    pages = PdfReader(io.BytesIO(artwork.preview(*both(), FACE))).pages
    assert len(pages) == 2
    for page in pages:
        width_mm, height_mm = (float(side) / 72 * 25.4 for side in page.mediabox[2:])
        assert (round(width_mm, 2), round(height_mm, 2)) == (85.60 + 6, 53.98 + 6)


def test_the_number_is_on_the_local_side_only() -> None:
    common, local = (page.extract_text() for page in PdfReader(io.BytesIO(artwork.preview(*both(), FACE))).pages)
    assert "3104 8400 0000 0000 017" in local and "普通卡" in local and "南宁" in local
    assert "3104" not in common and "交通一卡通" in common


def test_the_same_card_gives_the_same_bytes() -> None:
    assert artwork.preview(*both(), FACE) == artwork.preview(*both(), FACE)
    assert artwork.preview(*both(), FACE) != artwork.preview(*both(), Face("3104840000000000018", FACE.print_line))


def test_a_batch_fills_sheets_front_and_back() -> None:
    faces = [Face(str(int(NUMBER) + at), "x") for at in range(10)]
    pages = PdfReader(io.BytesIO(artwork.sheets(*both(), faces, "A1"))).pages
    assert len(pages) == 4 and [round(float(side)) for side in pages[0].mediabox[2:]] == [round(side) for side in A4]
    backs = pages[1].extract_text() + pages[3].extract_text()
    assert all(products.grouped(face.number) in backs for face in faces)


def test_backs_lie_behind_their_fronts_and_nothing_leaves_the_paper() -> None:
    width_mm, height_mm = (side / 72 * 25.4 for side in A4)
    for at in range(artwork.COLUMNS * artwork.ROWS):
        (front_x, front_y), (back_x, back_y) = artwork.place(at, False), artwork.place(at, True)
        assert front_y == back_y and abs(front_x + back_x + artwork.WIDTH_MM - width_mm) < 1e-6
        for x in (front_x, back_x):
            assert artwork.MARK_MM < x < width_mm - artwork.WIDTH_MM - artwork.MARK_MM
        assert artwork.MARK_MM < front_y < height_mm - artwork.HEIGHT_MM - artwork.MARK_MM
    assert artwork.GAP_MM >= 2 * artwork.MARK_MM


def test_each_sample_product_has_its_artwork() -> None:
    for name in products.names():
        made, _ = products.named(name)
        artwork.named(made.artwork_common, COMMON)
        artwork.named(made.artwork_local, LOCAL)


@pytest.mark.parametrize(("change", "said"), [
    ({"side": "front"}, "side: must be common or local"),
    ({"ground": "blue"}, "ground: must be a colour"),
    ({"title_zh": ""}, "title_zh: must be a text"),
    ({"shapes": [{"kind": "star", "at": [0, 0], "size": [1, 1], "fill": "#000000"}]}, "kind is rect, circle, wave"),
    ({"shapes": [{"kind": "rect", "at": [0], "size": [1, 1], "fill": "#000000"}]}, "at: must be two numbers"),
    ({"more": 1}, "and no more"),
])  # fmt: skip
def test_a_design_that_is_wrong_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    row = json.loads((artwork.DESIGNS / "nanning.json").read_text())
    path = tmp_path / "it.json"
    path.write_text(json.dumps({**row, **change}))
    with pytest.raises(artwork.ArtworkError, match=said):
        artwork.named(str(path), LOCAL)


def test_sides_are_not_mixed_up() -> None:
    with pytest.raises(artwork.ArtworkError, match="is the common side"):
        artwork.named("guangxi", LOCAL)
    with pytest.raises(artwork.ArtworkError, match="no artwork moon"):
        artwork.named("moon", LOCAL)
