"""The minutes: what the pages say, whose signature they carry, and that a changed byte shows."""

import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext
from pypdf import PdfReader

from backoffice.keys import ceremony_file, minutes, signing
from backoffice.keys.minutes import MinutesError, SigningKey
from backoffice.tests.ceremony_room import PARTS, WHOLE, Room

KEY = bytes(range(1, 33))


def signing_key() -> SigningKey:
    return SigningKey(signing.public_key(KEY), lambda digest: signing.sign(KEY, digest))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    with pytest.MonkeyPatch.context() as cheap:
        cheap.setitem(ceremony_file._SCRYPT, "n", 16)
        room = Room(tmp_path_factory.mktemp("room"))
        room.begin()
        room.finish()
    return room


@pytest.fixture(scope="module")
def record(room: Room) -> dict[str, Any]:
    return room.ceremony.record()


@pytest.fixture(scope="module")
def pdf(record: dict[str, Any]) -> bytes:
    return minutes.as_pdf(record, signing_key())


def text_of(pdf: bytes) -> str:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return " ".join(" ".join(pages).split())


def test_another_program_reads_chinese_and_english_on_the_pages(pdf: bytes, record: dict[str, Any]) -> None:
    text = text_of(pdf)
    for words in (
        "密钥仪式", "Key ceremony", "密钥室", "Key room", "2026-11-21", "保管人", "custodian", "李审计", "HSM", "SN-77",
        "tape 4", "合成 whole", "异或分量", "any 2 of 3 shares", "签名 Signature", "E-1", "S-load-1-c3",
        "到场，身份已核对", "present, identity checked", "测试密钥，不得用于生产", "TEST KEYS, NOT FOR PRODUCTION",
    ):  # fmt: skip
        assert words in text, words
    for key in record["keys"]:
        assert key["kcv"] in text and all(part["kcv"] in text for part in key["parts"])
    count = len(PdfReader(io.BytesIO(pdf)).pages)
    assert all(f"第 {page} 页，共 {count} 页 page {page} of {count}" in text for page in range(1, count + 1))


def test_a_production_ceremony_is_not_marked_as_a_test(record: dict[str, Any]) -> None:
    text = text_of(minutes.draw({**record, "test": False}, signing_key().sha256))
    assert "TEST KEYS" not in text and "生产仪式" in text


def test_the_same_record_gives_the_same_pages_and_the_json_is_named_in_them(record: dict[str, Any], pdf: bytes) -> None:
    name = signing_key().sha256
    assert minutes.draw(record, name) == minutes.draw(json.loads(minutes.as_json(record)), name)
    digest = hashlib.sha256(minutes.as_json(record)).hexdigest()
    assert digest in text_of(pdf) and name in text_of(pdf)
    assert minutes.check(pdf).json_sha256 == digest and minutes.check(pdf).key_sha256 == name


def test_no_part_and_no_key_is_in_the_minutes(room: Room, record: dict[str, Any], pdf: bytes) -> None:
    everything = text_of(pdf).upper().replace(" ", "") + minutes.as_json(record).decode().upper()
    for secret in (*PARTS, WHOLE, *room.backend.values.values()):
        assert secret.hex().upper() not in everything and secret not in pdf


def test_the_signature_holds_by_a_validator_that_trusts_this_certificate_and_no_other(pdf: bytes) -> None:
    signature = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[0]
    ours = x509.Certificate.load(signature.signer_cert.dump())
    trusted = validate_pdf_signature(signature, ValidationContext(trust_roots=[ours]))
    assert trusted.bottom_line and trusted.intact and trusted.valid and trusted.trusted
    other = SigningKey.for_once().certificate(0)
    assert not validate_pdf_signature(signature, ValidationContext(trust_roots=[other])).bottom_line


def test_a_changed_byte_shows(pdf: bytes) -> None:
    seed = 20261121
    places = random.Random(seed).sample(range(len(pdf)), 150)
    signed_end = pdf.index(b"/ByteRange")
    for at in [*places, 100, signed_end - 200, len(pdf) - 10]:
        changed = pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]
        try:
            found = minutes.check(changed)
        except MinutesError:
            continue
        # the padding behind the signature's own value is zeros that nobody reads
        assert found == minutes.check(pdf) and pdf[at] in b"0" and in_padding(pdf, at), f"byte {at}, seed {seed}"


def in_padding(pdf: bytes, at: int) -> bool:
    end = pdf.index(b">", pdf.index(b"/Contents <"))
    return pdf[at:end].strip(b"0") == b""


def test_pages_added_or_cut_show(pdf: bytes) -> None:
    writer: Any = IncrementalPdfFileWriter(io.BytesIO(pdf))
    writer.root["/Lang"] = writer.root.get("/Lang", writer.root["/Type"])
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(MinutesError, match="changed"):
        minutes.check(out.getvalue())
    for cut in (pdf[:-500], pdf[: len(pdf) // 2], b"", b"%PDF-1.4\n"):
        with pytest.raises(MinutesError):
            minutes.check(cut)


def test_unsigned_pages_are_no_minutes(record: dict[str, Any]) -> None:
    with pytest.raises(MinutesError, match="no signature"):
        minutes.check(minutes.draw(record, ""))


def test_a_signature_by_somebody_else_has_another_name(record: dict[str, Any], pdf: bytes) -> None:
    forged = minutes.as_pdf(record, SigningKey.for_once())
    assert minutes.check(forged).key_sha256 != minutes.check(pdf).key_sha256


def test_no_minutes_of_an_open_ceremony(record: dict[str, Any]) -> None:
    with pytest.raises(MinutesError, match="resume it first"):
        minutes.as_pdf({**record, "closed_s": 0}, signing_key())


def test_without_the_font_it_says_what_to_install(record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes, "FONT", Path("/nowhere.ttc"))
    monkeypatch.setattr(minutes, "_NAME", "nobody has registered this")
    with pytest.raises(MinutesError, match="fonts-wqy-microhei"):
        minutes.draw(record, "")


def test_names_are_words_and_no_markup(record: dict[str, Any]) -> None:
    strange = {**record, "title": {"zh": "<b>甲&乙</b>", "en": "</para> & <img src='x'/>"}}
    assert "<b>甲&乙</b>" in text_of(minutes.draw(strange, ""))


def test_another_digest_written_behind_the_signature_shows(pdf: bytes) -> None:
    """PDF lets a later revision name other keywords, and pyHanko takes that for no change of the paper."""
    writer: Any = IncrementalPdfFileWriter(io.BytesIO(pdf))
    keywords = generic.pdf_string(minutes._MARK + 64 * "0")
    named: Any = generic.DictionaryObject  # this library has no types here
    writer.set_info(named({generic.pdf_name("/Keywords"): keywords}))
    out = io.BytesIO()
    writer.write(out)
    assert out.getvalue().startswith(pdf)
    with pytest.raises(MinutesError, match="changed since"):
        minutes.check(out.getvalue())
