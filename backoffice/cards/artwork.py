"""What is printed: one side is the province's brand, the other the city's own. As PDF, for people to look at and print.

A card is ID-1, 85.60 x 53.98 mm (ISO/IEC 7810), with bleed around. Designs are data: plain shapes and words, drawn for
this project. Fields: backoffice/docs/cards.md
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from backoffice.cards.product import grouped
from backoffice.store.card_states import CardsRefused

WIDTH_MM, HEIGHT_MM = 85.60, 53.98
RADIUS_MM = 3.18
BLEED_MM = 3.0
QR_MM = 15.0
SAFE_MM = 4.0  # words stay so far from the edge
COLUMNS, ROWS = 2, 4  # of a sheet of A4, bleed and marks included
GAP_MM = 8.0
MARK_MM = 4.0
CARDS_MAX = 1000  # of one file: 250 pages
COMMON, LOCAL = "common", "local"

DESIGNS = Path(__file__).with_name("artwork_designs")
DESIGN_BYTES_MAX = 64 << 10
SHAPES_MAX = 200
FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")  # Debian's fonts-wqy-microhei
_NAME = "CardHei"
_KINDS = ("rect", "circle", "wave")


class ArtworkError(CardsRefused):
    """The artwork cannot be drawn. The message names the design and the field."""


class Shape(NamedTuple):
    kind: str
    at: tuple[float, float]  # mm from the card's lower left corner; into the bleed below 0
    size: tuple[float, float]
    fill: str


class Design(NamedTuple):
    """One side."""

    name: str
    side: str
    origin: str
    title_zh: str
    title_en: str
    line_zh: str
    line_en: str
    ground: str
    ink: str
    shapes: tuple[Shape, ...]


class Face(NamedTuple):
    """What one card has of its own."""

    number: str
    print_line: str


def names(side: str) -> list[str]:
    """Of the sample designs."""
    found = [_read(path) for path in DESIGNS.glob("*.json")]
    return sorted(one.name for one in found if one.side == side)


def named(name: str, side: str) -> Design:
    """A sample's name or a file. Raises ArtworkError."""
    path = Path(name) if "/" in name or name.endswith(".json") else DESIGNS / f"{name}.json"
    if path.parent == DESIGNS and not path.is_file():
        raise ArtworkError(f"no artwork {name}: choose one of {', '.join(names(side))}, or name a file")
    design = _read(path)
    if design.side != side:
        raise ArtworkError(f"artwork {name} is the {design.side} side: choose one of {', '.join(names(side))}")
    return design


def preview(common: Design, local: Design, face: Face) -> bytes:
    """A PDF of two pages, each a side with its bleed: what the printer gets for one card."""
    size = ((WIDTH_MM + 2 * BLEED_MM) * mm, (HEIGHT_MM + 2 * BLEED_MM) * mm)
    out, canvas = _opened(size)
    for design in (common, local):
        canvas.saveState()
        canvas.translate(BLEED_MM * mm, BLEED_MM * mm)
        _side(canvas, design, face)
        canvas.restoreState()
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def sheets(common: Design, local: Design, faces: Sequence[Face], title: str) -> bytes:
    """A PDF in A4, a batch: fronts, then their backs, mirrored so that they meet when the sheet is turned over."""
    if not 1 <= len(faces) <= CARDS_MAX:
        raise ArtworkError(f"a file has 1 to {CARDS_MAX} cards, not {len(faces)}: print the batch in parts")
    out, canvas = _opened(A4)
    each = COLUMNS * ROWS
    for start in range(0, len(faces), each):
        part = faces[start : start + each]
        for design, turned in ((common, False), (local, True)):
            _sheet(canvas, design, part, turned)
            canvas.setFillColor(HexColor("#000000"))
            canvas.setFont(_NAME, 7)
            canvas.drawString(10 * mm, 5 * mm, f"{title}  {start + 1}-{start + len(part)}  {design.name}")
            canvas.showPage()
    canvas.save()
    return out.getvalue()


def place(at: int, turned: bool) -> tuple[float, float]:
    """Lower left corner of a card on its sheet, mm. The backs lie mirrored: a sheet is turned about its long edge."""
    column, row = at % COLUMNS, at // COLUMNS
    width_mm = COLUMNS * WIDTH_MM + (COLUMNS - 1) * GAP_MM
    height_mm = ROWS * HEIGHT_MM + (ROWS - 1) * GAP_MM
    x_mm = (A4[0] / mm - width_mm) / 2 + column * (WIDTH_MM + GAP_MM)
    y_mm = (A4[1] / mm + height_mm) / 2 - HEIGHT_MM - row * (HEIGHT_MM + GAP_MM)
    return (A4[0] / mm - x_mm - WIDTH_MM if turned else x_mm), y_mm


def _sheet(canvas: Any, design: Design, faces: Sequence[Face], turned: bool) -> None:
    for at, face in enumerate(faces):
        x_mm, y_mm = place(at, turned)
        canvas.saveState()
        canvas.translate(x_mm * mm, y_mm * mm)
        _side(canvas, design, face)
        _marks(canvas)
        canvas.restoreState()


def _side(canvas: Any, design: Design, face: Face) -> None:
    """One side with its bleed; the origin is the card's lower left corner."""
    canvas.saveState()
    path = canvas.beginPath()
    width, height = WIDTH_MM + 2 * BLEED_MM, HEIGHT_MM + 2 * BLEED_MM
    path.rect(-BLEED_MM * mm, -BLEED_MM * mm, width * mm, height * mm)
    canvas.clipPath(path, stroke=0, fill=0)
    canvas.setFillColor(HexColor(design.ground))
    canvas.rect(-BLEED_MM * mm, -BLEED_MM * mm, width * mm, height * mm, stroke=0, fill=1)
    for shape in design.shapes:
        _shape(canvas, shape)
    _words(canvas, design)
    if design.side == LOCAL:
        _own(canvas, design, face)
    canvas.restoreState()
    canvas.setStrokeColor(HexColor("#888888"))
    canvas.setLineWidth(0.2)
    canvas.setDash(1, 2)
    canvas.roundRect(0, 0, WIDTH_MM * mm, HEIGHT_MM * mm, RADIUS_MM * mm, stroke=1, fill=0)
    canvas.setDash()


def _shape(canvas: Any, shape: Shape) -> None:
    (x, y), (width, height) = ([value * mm for value in pair] for pair in (shape.at, shape.size))
    canvas.setFillColor(HexColor(shape.fill))
    if shape.kind == "rect":
        canvas.rect(x, y, width, height, stroke=0, fill=1)
    elif shape.kind == "circle":
        canvas.ellipse(x, y, x + width, y + height, stroke=0, fill=1)
    else:
        path = canvas.beginPath()
        path.moveTo(x, y)
        path.lineTo(x, y + height / 2)
        path.curveTo(x + width / 3, y + height * 1.5, x + 2 * width / 3, y - height / 2, x + width, y + height / 2)
        path.lineTo(x + width, y)
        path.close()
        canvas.drawPath(path, stroke=0, fill=1)


def _words(canvas: Any, design: Design) -> None:
    canvas.setFillColor(HexColor(design.ink))
    top = HEIGHT_MM - SAFE_MM
    for text, size, down_mm in ((design.title_zh, 17, 6), (design.title_en, 8, 10.5), (design.line_zh, 7, 15),
                                (design.line_en, 5, 17.5)):  # fmt: skip
        canvas.setFont(_NAME, size)
        canvas.drawString(SAFE_MM * mm, (top - down_mm) * mm, text)


def _own(canvas: Any, design: Design, face: Face) -> None:
    """Number, printed line, and the number as a QR code on white."""
    canvas.setFillColor(HexColor(design.ink))
    canvas.setFont(_NAME, 10)
    canvas.drawString(SAFE_MM * mm, 21 * mm, grouped(face.number))
    canvas.setFont(_NAME, 6)
    canvas.drawString(SAFE_MM * mm, 17.5 * mm, face.print_line)
    x = (WIDTH_MM - SAFE_MM - QR_MM) * mm
    canvas.setFillColor(HexColor("#FFFFFF"))
    canvas.rect(x, 17 * mm, QR_MM * mm, QR_MM * mm, stroke=0, fill=1)
    renderPDF.draw(qr(face.number), canvas, x, 17 * mm)


def qr(number: str) -> Drawing:
    """QR_MM wide, its quiet zone included; error correction M."""
    drawing = Drawing(QR_MM * mm, QR_MM * mm)
    drawing.add(QrCodeWidget(number, barWidth=QR_MM * mm, barHeight=QR_MM * mm, barLevel="M", barBorder=4))
    return drawing


def _marks(canvas: Any) -> None:
    """Where to cut, outside the bleed."""
    canvas.setStrokeColor(HexColor("#000000"))
    canvas.setLineWidth(0.15)
    for x in (0, WIDTH_MM):
        for y, away in ((0, -1), (HEIGHT_MM, 1)):
            near = y + away * BLEED_MM
            canvas.line(x * mm, near * mm, x * mm, (near + away * (MARK_MM - BLEED_MM)) * mm)
    for y in (0, HEIGHT_MM):
        for x, away in ((0, -1), (WIDTH_MM, 1)):
            near = x + away * BLEED_MM
            canvas.line(near * mm, y * mm, (near + away * (MARK_MM - BLEED_MM)) * mm, y * mm)


def _opened(size: tuple[float, float]) -> tuple[io.BytesIO, Any]:
    """The same cards give the same bytes."""
    if _NAME not in pdfmetrics.getRegisteredFontNames():
        try:
            pdfmetrics.registerFont(TTFont(_NAME, str(FONT), subfontIndex=0))
        except (TTFError, OSError) as error:
            raise ArtworkError(f"the font {FONT} is missing: install fonts-wqy-microhei") from error
    out = io.BytesIO()
    return out, Canvas(out, pagesize=size, invariant=1)


def _read(path: Path) -> Design:
    where = path.name
    try:
        if path.stat().st_size > DESIGN_BYTES_MAX:
            raise ArtworkError(f"{where}: is too long for a design")
        row = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtworkError(f"{where}: {error.strerror}: name a file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise ArtworkError(f"{where}: is not JSON: {error}") from error
    if not isinstance(row, dict) or set(row) != set(Design._fields):
        raise ArtworkError(f"{where}: must be an object with {', '.join(Design._fields)}, and no more")
    for name in Design._fields[:-1]:
        if not isinstance(row[name], str) or not 0 < len(row[name]) <= 100:
            raise ArtworkError(f"{where}: {name}: must be a text of 1 to 100 letters")
    if row["side"] not in (COMMON, LOCAL):
        raise ArtworkError(f"{where}: side: must be {COMMON} or {LOCAL}")
    if not isinstance(row["shapes"], list) or len(row["shapes"]) > SHAPES_MAX:
        raise ArtworkError(f"{where}: shapes: must be a list of at most {SHAPES_MAX}")
    for name in ("ground", "ink"):
        _colour(row[name], f"{where}: {name}")
    shapes = tuple(_parsed(one, f"{where}: shapes[{at}]") for at, one in enumerate(row["shapes"]))
    return Design(**{**row, "shapes": shapes})


def _parsed(one: Any, where: str) -> Shape:
    if not isinstance(one, dict) or set(one) != set(Shape._fields) or one["kind"] not in _KINDS:
        raise ArtworkError(f"{where}: must have {', '.join(Shape._fields)}; kind is {', '.join(_KINDS)}")
    for name in ("at", "size"):
        pair = one[name]
        if not isinstance(pair, list) or len(pair) != 2 or any(type(value) not in (int, float) for value in pair):
            raise ArtworkError(f"{where}.{name}: must be two numbers, mm")
    _colour(one["fill"], f"{where}.fill")
    return Shape(one["kind"], tuple(one["at"]), tuple(one["size"]), one["fill"])


def _colour(value: Any, where: str) -> None:
    digits = value[1:] if isinstance(value, str) and value[:1] == "#" else ""
    if len(digits) != 6 or any(digit not in "0123456789ABCDEFabcdef" for digit in digits):
        raise ArtworkError(f"{where}: must be a colour as #RRGGBB")
