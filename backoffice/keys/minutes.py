"""The minutes of a ceremony: JSON, and a PDF in Chinese and English that people sign by hand and a key signs, too.

Both come from `Ceremony.record()`, which holds no part and no key. The same record and signing key give the same
pages; the signature itself is random. How it is verified: backoffice/docs/ceremony.md.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from asn1crypto import algos, core, keys, x509
from cryptography.hazmat.primitives.asymmetric import utils
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from backoffice.keys import signing
from backoffice.keys.backend import Backend, KeysError
from backoffice.keys.ceremony_words import LEVELS, ORIGINS, PURPOSES, REASONS, ROLES, TEST_MARK

FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")  # Debian's fonts-wqy-microhei; Apache 2.0
LOCAL = timezone(timedelta(hours=8))  # Beijing time
CERTIFICATE_DAYS = 3650
_FIELD = "Minutes"
_NAME = "MicroHei"
_MARK = "minutes sha256 "  # in the PDF's keywords, before the digest of the JSON
_WIDTH = A4[0] - 36 * mm

_EVENTS = {
    "begun": ("仪式开始", "ceremony begun"),
    "attended": ("到场，身份已核对", "present, identity checked"),
    "device": ("核对设备 {note}", "device checked: {note}"),
    "entered": ("录入 {key} 的分量，信封 {note}", "entered a part of {key}, envelope {note}"),
    "confirmed_part": ("确认 {key} 的分量（{name}）", "confirmed a part of {key} ({name})"),
    "joined": ("合成 {key}", "joined {key}"),
    "confirmed_key": ("确认 {key} 的校验值", "confirmed the check value of {key}"),
    "kept": ("{key} 已存入，分量已清除", "{key} stored, its parts wiped"),
    "made": ("{key} 已在内部生成", "{key} made inside"),
    "forgot": ("遗忘口令，所护分量作废", "lost a passphrase; what it protected is void"),
    "closed": ("仪式结束，密钥交付使用", "ceremony closed, keys handed over"),
    "refused_device": ("设备不符，应为 {note}", "another device refused; planned {note}"),
    "refused_part": ("{key}：录入被拒，{why_zh}", "{key}: entry refused, {why_en}"),
    "refused_kcv": ("{key}：校验值 {note} 被否认", "{key}: check value {note} denied"),
    "refused_key": ("{key}：合成被拒，{why_zh}", "{key}: joining refused, {why_en}"),
}
# What pyHanko and its parsers raise for a PDF that was changed
_BROKEN = (PdfReadError, SignatureValidationError, ValueError, LookupError, TypeError, AttributeError)


class MinutesError(KeysError):
    """The minutes cannot be made, or are not what was signed. The message says what to do."""


class Checked(NamedTuple):
    """What a PDF of minutes proves by itself. `key_sha256` is to be compared with the paper."""

    intact: bool
    key_sha256: str
    json_sha256: str
    signed_s: int


class SigningKey:
    """Signs minutes. `sign` takes a digest of 32 bytes and gives r and s, as a backend does."""

    def __init__(self, public_key: bytes, sign: Callable[[bytes], bytes]) -> None:
        self.public_key = public_key
        self.sign = sign

    @classmethod
    def of_backend(cls, backend: Backend, key_id: str) -> "SigningKey":
        """A key that stays where it is kept."""
        return cls(backend.public_key(key_id), lambda digest: backend.sign(key_id, digest))

    @classmethod
    def for_once(cls) -> "SigningKey":
        """A new one, forgotten after these minutes: what it proves hangs on its name on the signed paper."""
        key = signing.new()
        return cls(signing.public_key(key), lambda digest: signing.sign(key, digest))

    @property
    def sha256(self) -> str:
        """Its name in the minutes: SHA-256 of 04 X Y, in hex."""
        return hashlib.sha256(self.public_key).hexdigest()

    def certificate(self, at_s: int) -> x509.Certificate:
        """Self-signed, valid for ten years from `at_s`."""
        name = x509.Name.build({"common_name": "yikatong key ceremony"})
        algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
        begin = datetime.fromtimestamp(at_s, UTC)
        body = x509.TbsCertificate(
            {
                "version": "v3",
                "serial_number": int.from_bytes(hashlib.sha256(self.public_key).digest()[:8], "big") | 1,
                "signature": algorithm,
                "issuer": name,
                "subject": name,
                "validity": {
                    "not_before": x509.Time({"general_time": begin}),
                    "not_after": x509.Time({"general_time": begin + timedelta(days=CERTIFICATE_DAYS)}),
                },
                "subject_public_key_info": {
                    "algorithm": {"algorithm": "ec", "parameters": keys.ECDomainParameters("named", "secp256r1")},
                    "public_key": keys.ECPointBitString(self.public_key),
                },
                "extensions": [
                    {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": False}},
                    {
                        "extn_id": "key_usage",
                        "critical": True,
                        "extn_value": {"digital_signature", "non_repudiation"},
                    },
                ],
            }
        )
        signature = self._der(body.dump())
        whole = {"tbs_certificate": body, "signature_algorithm": algorithm}
        return x509.Certificate({**whole, "signature_value": core.OctetBitString(signature)})

    def _der(self, data: bytes) -> bytes:
        raw = self.sign(hashlib.sha256(data).digest())
        return utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


class _Signer(signers.Signer):
    """pyHanko's hand to a key that it cannot hold."""

    def __init__(self, key: SigningKey, at_s: int) -> None:
        super().__init__(signing_cert=key.certificate(at_s))
        self._key = key

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if digest_algorithm != "sha256":
            raise MinutesError(f"minutes are signed with sha256, not {digest_algorithm}")
        return bytes(72) if dry_run else self._key._der(data)  # the longest an ECDSA signature of P-256 gets


def as_json(record: dict[str, Any]) -> bytes:
    """The minutes for programs; the PDF names the SHA-256 of these bytes."""
    return (json.dumps(record, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def as_pdf(record: dict[str, Any], key: SigningKey) -> bytes:
    """The pages, signed. Raises MinutesError where the font is missing, or the ceremony is not closed."""
    if not record["closed_s"]:
        raise MinutesError("minutes are made when the ceremony is closed: resume it first")
    pages = draw(record, key.sha256)
    writer = IncrementalPdfFileWriter(io.BytesIO(pages))
    metadata = signers.PdfSignatureMetadata(
        field_name=_FIELD,
        md_algorithm="sha256",
        reason="key ceremony minutes",
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )
    signed: io.BytesIO = signers.sign_pdf(writer, metadata, signer=_Signer(key, record["closed_s"]))
    return signed.getvalue()


def check(pdf: bytes) -> Checked:
    """Whether the PDF is what was signed, by the key it names. Raises MinutesError for one that is not."""
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        found = [each for each in reader.embedded_signatures if each.field_name == _FIELD]
        if len(found) != 1:
            raise MinutesError("this PDF carries no signature of minutes: it was cut, or is another paper")
        certificate = found[0].signer_cert
        context = ValidationContext(trust_roots=[certificate], allow_fetching=False, revocation_mode="soft-fail")
        status = validate_pdf_signature(found[0], signer_validation_context=context)
        keywords = str(reader.trailer["/Info"].get("/Keywords", ""))
    except _BROKEN as error:
        raise MinutesError(f"this PDF does not hold together ({error.__class__.__name__}): it was changed") from error
    # Even what PDF allows behind a signature: the keywords, too, are part of what was signed.
    if not status.bottom_line or status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
        raise MinutesError("this PDF is not what was signed: it was changed since")
    if not keywords.startswith(_MARK) or status.signer_reported_dt is None:
        raise MinutesError("this PDF is signed, but is none of minutes")
    public_key = bytes(certificate.public_key["public_key"])
    return Checked(
        intact=True,
        key_sha256=hashlib.sha256(public_key).hexdigest(),
        json_sha256=keywords.removeprefix(_MARK),
        signed_s=int(status.signer_reported_dt.timestamp()),
    )


def draw(record: dict[str, Any], key_sha256: str) -> bytes:
    """The pages without the signature: the same bytes for the same record and key."""
    _register_font()
    digest = hashlib.sha256(as_json(record)).hexdigest()
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        invariant=1,
        title=f"{record['title']['zh']} {record['title']['en']}",
        author="yikatong",
        keywords=_MARK + digest,
    )

    def canvas(*args: Any, **options: Any) -> "_Canvas":
        return _Canvas(*args, test=record["test"], digest=digest, **options)

    document.build(_story(record, digest, key_sha256), canvasmaker=canvas)
    return out.getvalue()


class _Canvas(Canvas):  # type: ignore[misc]
    """Pages wait until their number is known; then each gets its frame: page number, digest of the JSON, test mark."""

    def __init__(self, *args: Any, test: bool, digest: str, **options: Any) -> None:
        super().__init__(*args, **{**options, "initialFontName": _NAME})
        self._test, self._json_digest = test, digest
        self._waiting: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._waiting.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        waiting = self._waiting
        for page, state in enumerate(waiting, 1):
            self.__dict__.update(state)
            self._frame(page, len(waiting))
            super().showPage()
        super().save()

    def _frame(self, page: int, pages: int) -> None:
        self.setFont(_NAME, 7)
        self.drawString(18 * mm, 11 * mm, f"JSON SHA-256 {self._json_digest}")
        numbers = f"第 {page} 页，共 {pages} 页  page {page} of {pages}"
        self.drawRightString(A4[0] - 18 * mm, 11 * mm, numbers)
        if self._test:
            self.setFillColor(colors.HexColor("#C00000"))
            self.setFont(_NAME, 11)
            self.drawCentredString(A4[0] / 2, A4[1] - 13 * mm, TEST_MARK)


def _story(record: dict[str, Any], digest: str, key_sha256: str) -> list[Flowable]:
    people = {person["person_id"]: person["name"] for person in record["persons"]}
    title = [_text(record["title"]["zh"], 16), _text(record["title"]["en"], 11), Spacer(1, 4 * mm)]
    return [
        *title,
        *_facts(record),
        *_persons(record),
        *_devices(record),
        *_keys(record, people),
        *_steps(record, people),
        *_signatures(record),
        *_proof(digest, key_sha256),
    ]


def _facts(record: dict[str, Any]) -> list[Flowable]:
    events = record["events"]
    kind = ("测试仪式", "test ceremony") if record["test"] else ("生产仪式", "production ceremony")
    times = f"{_time(events[0]['at_s'])} – {_time(events[-1]['at_s'])}"
    rows = [
        ("日期", record["date"], "Date", record["date"]),
        ("地点", record["place"]["zh"], "Place", record["place"]["en"]),
        ("性质", kind[0], "Kind", kind[1]),
        ("起止（北京时间）", times, "From, to (Beijing time)", times),
        ("录像", record["video"] or "无", "Video", record["video"] or "none"),
        ("备注", record["remarks"] or "无", "Remarks", record["remarks"] or "none"),
    ]
    return [_table(None, rows, (26, 61, 36, 51))]


def _persons(record: dict[str, Any]) -> list[Flowable]:
    rows = [
        (person["name"], person["number"], person["organisation"] or "–", *_both(ROLES, person["roles"]))
        for person in record["persons"]
    ]
    head = ("姓名 Name", "证件号 Number", "单位 Organisation", "角色", "Role")
    return [_heading("人员", "Persons"), _table(head, rows, (30, 34, 40, 30, 40))]


def _devices(record: dict[str, Any]) -> list[Flowable]:
    rows = [(device["kind"], device["serial"]) for device in record["devices"]] or [("无 none", "–")]
    return [_heading("设备", "Devices"), _table(("设备 Device", "序列号 Serial"), rows, (87, 87))]


def _keys(record: dict[str, Any], people: dict[str, str]) -> list[Flowable]:
    story: list[Flowable] = [_heading("密钥与校验值", "Keys and check values (KCV)")]
    head = ("密钥 Key", "保管人 Custodian", "信封 Envelope", "校验值 KCV", "确认人 Confirmed by")
    for key in record["keys"]:
        zh = f"{_of(PURPOSES, key['purpose'], 0)}，{_of(LEVELS, key['level'], 0)}，{_of(ORIGINS, key['origin'], 0)}"
        en = f"{_of(PURPOSES, key['purpose'], 1)}, {_of(LEVELS, key['level'], 1)}, {_of(ORIGINS, key['origin'], 1)}"
        parts = _method(key)
        name = f"{key['algorithm']} {key['subject']} V{key['version']} I{key['index']}".replace("  ", " ")
        rows = [
            (key["key_id"], people[part["custodian"]], part["envelope"], part["kcv"], _names(part["confirmed"], people))
            for part in key["parts"]
        ]
        rows.append((key["key_id"], "合成 whole" if rows else "整体 whole", "–", key["kcv"],
                     _names(key["confirmed"], people)))  # fmt: skip
        line = _text(f"{key['key_id']}  {name}  {zh}{parts[0]} | {en}{parts[1]}", 8.5)
        story.append(KeepTogether([Spacer(1, 1.5 * mm), line, _table(head, rows, (34, 36, 36, 24, 44))]))
    return story


def _method(key: dict[str, Any]) -> tuple[str, str]:
    count = len(key["parts"])
    if not count:
        return "", ""
    if key["method"] == "xor":
        return f"，{count} 个异或分量", f", {count} XOR components"
    return f"，{count} 份中任 {key['threshold']} 份（SLIP-39）", f", any {key['threshold']} of {count} shares (SLIP-39)"


def _steps(record: dict[str, Any], people: dict[str, str]) -> list[Flowable]:
    rows = []
    for at, event in enumerate(record["events"]):
        note = event["note"]
        why = REASONS.get(note, (note, note))
        words = {
            **{"key": event["key_id"], "note": note, "name": people.get(note, note)},
            **{"why_zh": why[0], "why_en": why[1]},
        }
        zh, en = (text.format(**words) for text in _EVENTS[event["what"]])
        rows.append((str(at + 1), _time(event["at_s"]), people[event["who"]], zh, en, event["kcv"] or "–"))
    head = ("序", "时间 Time", "人员 Person", "步骤", "Step", "KCV")
    heading = _heading("步骤记录", "Steps", keep=False)  # the table is longer than a page, and may begin on any
    return [CondPageBreak(30 * mm), heading, _table(head, rows, (9, 31, 24, 46, 48, 16))]


def _signatures(record: dict[str, Any]) -> list[Flowable]:
    rows = [(person["name"], *_both(ROLES, person["roles"]), "", "") for person in record["persons"]]
    head = ("姓名 Name", "角色", "Role", "签名 Signature", "日期 Date")
    table = _table(head, rows, (30, 30, 36, 50, 28), row_mm=11)
    said = _text("以上记录属实。 The above is what happened.", 9)
    return [KeepTogether([_heading("签字", "Signatures"), said, Spacer(1, 2 * mm), table])]


def _proof(digest: str, key_sha256: str) -> list[Flowable]:
    zh = "本文件带有数字签名。核对方法：签名公钥和 JSON 文件的 SHA-256 与下列一致。"
    en = "This file is signed. It holds where the SHA-256 of the signing public key and of the JSON file are these."
    rows = [("签名公钥", "Signing key", key_sha256), ("JSON", "JSON", digest)]
    block = [_heading("数字签名", "Digital signature"), _text(zh, 8), _text(en, 8), Spacer(1, 1 * mm)]
    return [KeepTogether([*block, _table(None, rows, (22, 24, 128))])]


def _heading(zh: str, en: str, keep: bool = True) -> Flowable:
    style = ParagraphStyle("heading", fontName=_NAME, fontSize=11, leading=15, spaceBefore=8, spaceAfter=3)
    style.keepWithNext = int(keep)
    return Paragraph(f"{zh}  {en}", style)


def _text(text: str, size: float) -> Flowable:
    style = ParagraphStyle("text", fontName=_NAME, fontSize=size, leading=size * 1.35, wordWrap="CJK")
    return Paragraph(escape(text), style)


def _table(
    head: tuple[str, ...] | None,
    rows: Sequence[tuple[str, ...]],
    widths_mm: tuple[float, ...],
    row_mm: float | None = None,
) -> Flowable:
    lines = [*([head] if head else []), *rows]
    heights = None if row_mm is None else [None, *[row_mm * mm] * len(rows)]
    cells = [[_text(cell, 7.5) for cell in line] for line in lines]
    table = Table(cells, [width * mm for width in widths_mm], heights, repeatRows=1 if head else 0)
    table.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#808080")),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            *([("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#E8E8E8"))] if head else []),
        ]
    )
    return table


def _both(names: dict[str, tuple[str, str]], of: list[str]) -> tuple[str, str]:
    return "、".join(_of(names, each, 0) for each in of), ", ".join(_of(names, each, 1) for each in of)


def _of(names: dict[str, tuple[str, str]], name: str, language: int) -> str:
    return names[name][language] if name in names else name


def _names(person_ids: list[str], people: dict[str, str]) -> str:
    return ", ".join(people[each] for each in person_ids) or "–"


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, LOCAL).strftime("%Y-%m-%d %H:%M:%S")


def _register_font() -> None:
    if _NAME in pdfmetrics.getRegisteredFontNames():
        return
    try:
        pdfmetrics.registerFont(TTFont(_NAME, str(FONT), subfontIndex=0))
    except (TTFError, OSError) as error:
        raise MinutesError(f"the font {FONT} is missing: install fonts-wqy-microhei, as `make setup` does") from error
