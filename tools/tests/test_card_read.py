"""`ykt card read`, `trace`, `blank`, `list-readers`: what a person is told of any card, in words and as JSON."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.blank import blanks
from simulator.blank_image import BlankImage, load_image
from simulator.dual_card import card_of
from simulator.field import Card
from simulator.image import CardImage, PsamImage
from simulator.pcscd import Pcscd
from simulator.personalise import IMAGES, example_card, example_dual, example_legacy, example_psam
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.tests import clients
from simulator.tests.blank_office import CARDS, PSAMS, Office
from simulator.tests.flows import VECTORS, card_randoms, purchase_flow
from simulator.tests.test_blank import ready_to_finish
from simulator.vpcd import VpcdSlot
from tools import card_read, card_text, card_trace
from tools.cli import main
from tools.tests.remote_line import RemoteLine
from tools.tests.test_card import Served, refused, serve  # noqa: F401

CLI_S = 60
TODAY = "20250601"


class Held:
    """A simulated card as a Line, without a reader."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def power_on(self) -> bytes:
        self.card.power_on()
        return self.card.atr

    def transceive(self, apdu: bytes) -> bytes:
        return self.card.transceive(apdu)

    def power_off(self) -> None:
        self.card.power_off()


def ridden() -> CardImage:
    """The card of the vectors after an entry, which is left open, and a plain purchase."""
    card = card_of(example_card(), replay(card_randoms()))
    card.power_on()
    card.transceive(bytes.fromhex("00A4040008A000000632010105"))
    for name in ("plain_purchase", "capp_metro_entry"):
        for exchange in purchase_flow(VECTORS[name]):
            assert card.transceive(bytes.fromhex(exchange.command)).hex().upper() == exchange.answer
    image = card.image
    assert isinstance(image, CardImage)
    return image


def told(card: Card, today: str = TODAY) -> tuple[dict[str, Any], str]:
    """What was read, and its words."""
    found = card_read.read(Held(card))
    for one in found.get("applications", []):
        if "number" in one:
            one["period"] = card_text.period(one["start"], one["expiry"], today)
    if "psam" in found:
        found["period"] = card_text.period(found["psam"]["start"], found["psam"]["expiry"], today)
    json.dumps(found)
    return found, "\n".join(card_text.lines(found))


# --- cards


def test_a_card_tells_all_that_it_holds_and_keeps_it():
    image = ridden()
    card = card_of(image)
    found, words = told(card)
    assert card.image == image                          # nothing was changed by reading
    one, = found["applications"]
    assert (found["kind"], one["product"], one["state"]) == ("card", "JT/T 978", "ok")
    assert one["number"] == "3104999000000000017"
    assert (one["issuer"], one["city"], one["province"]) == ("04026110FFFFFFFF", "6110", "6100")
    assert (one["enabled"], one["interoperable"], one["kind"], one["period"]) == (True, True, 1, "valid")
    assert (one["balance_fen"], one["limit_fen"]) == (image.balance_fen, 0)
    assert one["counters"] == {"offline": image.offline_counter, "online": 3}
    assert one["keys"] == {use: {"index": 1, "version": 1, "algorithm": 0} for use in ("purchase", "load")}
    assert [each["type"] for each in one["log"]] == ["compound", "purchase"]
    assert one["log"][1]["amount_fen"] == 200 and one["log"][0]["at"].startswith("2025-06-01 ")
    assert [each["event"] for each in one["trips"]] == [3]
    entry, = one["open_trips"]
    assert (entry["record"], entry["open"], entry["state"]) == ("2701", True, 1)
    for said in ("交通联合卡 | T-Union card", "6110 南宁 | Nanning", "普通卡 | ordinary", "版本 version 1, 3DES",
                 "全国互通 | accepted nationwide", "余额 balance      48.00 元", "有效期内 | valid",
                 "2701 行程未结束 | trip is open: 已进站 | inside", "地铁 | metro: 进站/上车 | entry",
                 "消费 | purchase  2.00 元"):
        assert said in words, said


def test_an_overdrawn_card_shows_its_own_money_and_the_limit():
    image = example_card()
    image.limit_fen, image.balance_fen = 800, -300
    found, words = told(card_of(image))
    assert (found["applications"][0]["balance_fen"], found["applications"][0]["limit_fen"]) == (-300, 800)
    assert "余额 balance      -3.00 元, 透支限额 limit 8.00 元" in words


def test_a_card_that_knows_one_figure_only_is_read_all_the_same():
    image = example_card()
    image.settings.balance_p1, image.settings.compound, image.settings.wrong_le = (0,), False, "6Cxx"
    found, _ = told(card_of(image))
    one, = found["applications"]
    assert (one["balance_fen"], one["limit_fen"], one["counters"]) == (5000, 0, {"online": 3})


@pytest.mark.parametrize("empty", ["00", "FF", "6A83"])
def test_records_that_were_never_written_are_none(empty: str):
    image = example_card()
    image.settings.empty_record = empty
    one, = told(card_of(image))[0]["applications"]
    assert (one["log"], one["trips"], one["open_trips"]) == ([], [], [])


@pytest.mark.parametrize(("state", "select_sw", "code", "words"), [
    ("application", "6283", "blocked", "应用已锁定"),
    ("application", "6284", "blocked", "应用已锁定"),
    ("application", "6A81", "blocked_card", "卡或应用已锁定"),
    ("permanent", "6283", "blocked_for_good", "应用已永久锁定:换卡 | application blocked for good: replace the card"),
    ("card", "6283", "blocked_card", "card or application blocked: send the holder to the issuer"),
])  # fmt: skip
def test_a_blocked_card_says_so(state: str, select_sw: str, code: str, words: str):
    image = example_card()
    image.blocked, image.settings.blocked_select_sw = state, select_sw
    found, said = told(card_of(image))
    assert found["applications"][0]["state"] == code and words in said
    assert ("number" in found["applications"][0]) == (code == "blocked")        # the FCI has it, no file is open


@pytest.mark.parametrize(("today", "code", "words"), [
    ("20241231", "early", "未到启用日期 | not yet valid"),
    ("20250101", "valid", "有效期内 | valid"),
    ("20351231", "valid", "有效期内 | valid"),
    ("20360101", "expired", "已过期:到发卡机构延期或换卡 | expired"),
])  # fmt: skip
def test_the_dates_are_judged(today: str, code: str, words: str):
    found, said = told(card_of(example_card()), today)
    assert found["applications"][0]["period"] == code and words in said


def test_dates_that_are_none_and_a_card_that_is_not_enabled():
    image = example_card()
    content = bytearray(image.files[0x15])
    content[9], content[24:28] = 2, b"\xff" * 4
    image.fci = image.fci.replace(image.files[0x15], bytes(content))
    image.files[0x15] = bytes(content)
    image.files[0x17] = image.files[0x17][:9] + b"\x00\x09" + image.files[0x17][11:]
    found, said = told(card_of(image))
    one, = found["applications"]
    assert (one["enabled"], one["period"], one["interoperable"], one["kind"]) == (False, "bad", False, 9)
    for words in ("日期错误:换卡", "未启用或已停用", "仅限本地 | local only", "卡种 kind         9"):
        assert words in said


def test_both_applications_of_a_card_and_a_legacy_card_alone():
    found, words = told(card_of(example_dual()))
    assert [one["product"] for one in found["applications"]] == ["JT/T 978", "sample legacy"]
    assert "第二应用 | second application: 地方应用 | regional application: sample legacy" in words
    found, words = told(card_of(example_legacy()))
    one, = found["applications"]
    assert (one["number"], one["balance_fen"]) == ("5800010000000017", 3000)
    assert one["counters"] == {"offline": 0, "online": 0}
    assert words.startswith("地方应用 | regional application: sample legacy") and "5800 广东" in words
    retired = example_legacy()
    retired.blocked = "permanent"
    assert "blocked for good" in told(card_of(retired))[1]


# --- PSAMs, blanks, others


def test_a_psam_tells_who_it_is():
    found, words = told(SimPsam(example_psam()))
    assert found["psam"] == {
        "number": "611000000042", "serial": "00000000611000000042", "version": 1, "key_index": 1, "start": "20250101",
        "issuer": "04026110FFFFFFFF", "receiver": "04026110FFFFFFFF", "expiry": "20351231", "terminal_counter": 100,
        "state": "ok",
    }  # fmt: skip
    for said in ("PSAM 卡 | PSAM", "611000000042", "2025-01-01 … 2035-12-31, 有效期内 | valid", "counter   100"):
        assert said in words


def test_a_locked_psam_says_so():
    image = example_psam()
    image.locked = True
    found, words = told(SimPsam(image))
    assert found["psam"]["state"] == "blocked" and "已锁定:退回发行机构 | locked" in words


def test_a_made_psam_tells_its_chip_too():
    chip, office = ready_to_finish(PSAMS[0])
    assert office.end_stage(2) == b"\x90\x00"
    found, words = told(chip)
    assert found["kind"] == "psam" and found["chip"]["stage"] == 2
    assert "2 已个人化 | personalised" in words and "611000000099" in words


@pytest.mark.parametrize("name", [*CARDS, *PSAMS])
def test_a_blank_tells_chip_stage_and_tries(name: str):
    chip, = blanks(1, name, first_serial=0xABC)
    found, words = told(chip)
    assert found["kind"] == "blank" and found["chip"] == {
        "serial": "0000000000000ABC", "maker": "544B", "mask": "0001", "stage": 0, "tries_left": 5}
    assert "空白:待初始化 | blank: to be initialised" in words
    chip, _ = ready_to_finish(name)
    before = chip.image
    found, words = told(chip)
    assert (found["kind"], found["chip"]["stage"]) == ("blank", 1) and chip.image == before
    assert "已初始化:待个人化 | initialised: to be personalised" in words
    for _ in range(5):
        chip.transceive(bytes.fromhex("0084000008"))
        chip.transceive(bytes.fromhex("0082000008") + bytes(8))
    assert "已锁死:报废 | locked for ever: scrap it" in told(chip)[1]


class Mute:
    """A card of another kind: it refuses everything."""

    uid, atr = b"", b"\x3b\x00"

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def power_on(self) -> bytes:
        return self.atr

    def power_off(self) -> None:
        """Nothing to lose."""

    def transceive(self, apdu: bytes) -> bytes:
        return self.answer


@pytest.mark.parametrize("answer", ["6D00", "6A82", "9000", "6F00", "00" * 14 + "9000", "FF" * 20 + "9000", "6F7F9000"])
def test_a_card_that_is_none_of_ours_is_unknown_whatever_it_says(answer: str):
    found, words = told(Mute(bytes.fromhex(answer)))
    assert words
    if answer != "00" * 14 + "9000":            # which a blank would say
        assert found["kind"] == "unknown" and "未知的卡" in words and "3B00" in words


# --- the commands, on the real stack


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    with Pcscd() as daemon:
        yield daemon


def ykt(pcscd: Pcscd, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(pcscd.command([sys.executable, "-m", "tools.cli", "card", *arguments]),
                          capture_output=True, text=True, timeout=CLI_S)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_read_takes_the_first_reader_with_a_card_and_masks_the_number(pcscd: Pcscd):
    slots = [VpcdSlot(port) for port in pcscd.ports]
    slots[1].insert(SimPsam(example_psam()))
    try:
        code, out, err = ykt(pcscd, "read")
        assert (code, err) == (0, "") and out.startswith("PSAM 卡 | PSAM")
        slots[0].insert(card_of(example_card()))
        code, out, _ = ykt(pcscd, "read", "--today", TODAY)
        assert code == 0 and "310************0017" in out and "999000000000" not in out
        code, out, _ = ykt(pcscd, "read", "--json", "--full-number", "--reader", pcscd.readers[0])
        assert code == 0 and json.loads(out)["applications"][0]["number"] == "3104999000000000017"
        code, out, _ = ykt(pcscd, "read", "--json", "--reader", pcscd.readers[0])
        assert json.loads(out)["applications"][0]["number"] == "310************0017"
        code, out, _ = ykt(pcscd, "list-readers", "--json")
        assert json.loads(out) == [{"reader": name, "card": True} for name in pcscd.readers]
    finally:
        for slot in slots:
            slot.remove()


def test_a_reader_without_card_and_one_that_is_not_there(pcscd: Pcscd):
    code, out, err = ykt(pcscd, "read", "--wait-s", "0.2")
    assert (code, out) == (1, "") and "no card after 0.2 s" in err and "Traceback" not in err
    code, out, err = ykt(pcscd, "read", "--reader", "nosuch")
    assert code == 1 and "there are: Virtual PCD 00 00" in err
    code, out, _ = ykt(pcscd, "list-readers")
    assert code == 0 and out.count("空 | empty") == 2


def test_without_pcscd_it_says_what_to_start(pcscd: Pcscd):
    with Pcscd() as own:
        own.kill()
        for command in ("read", "list-readers"):
            code, _, err = ykt(own, command)
            assert code == 1 and "pcscd does not run: start it" in err
        own.start()


def test_a_served_blank_is_written_through_pcscd_and_saved_as_the_card(
    serve: type[Served], pcscd: Pcscd, tmp_path: Path  # noqa: F811
):
    assert main(["card", "blank", "--profile", CARDS[0], "--count", "2", "--folder", str(tmp_path)]) == 0
    card, sam = tmp_path / "0000000000000001.json", tmp_path / "00000000000000A0.json"
    assert main(["card", "blank", "--profile", PSAMS[1], "--first-serial", "A0", "--folder", str(tmp_path)]) == 0
    server = serve("--reader", "vpcd", "--port", str(pcscd.port), "--image", str(card), "--psam", str(sam), "--save",
                   "--trace")  # fmt: skip
    names = (CARDS[0], PSAMS[1])
    for reader, name, serial in zip(pcscd.readers, names, (1, 0xA0), strict=True):
        with RemoteLine(pcscd, reader) as line:
            line.power_on()
            office = Office(name, line.transceive, serial)
            office.run(office.all_steps())
    code, printed, error = server.end()
    assert (code, error) == (0, "")
    made = load_image(card)
    assert isinstance(made, CardImage) and made.serial == office_serial()
    finished = load_image(sam)
    assert isinstance(finished, BlankImage) and finished.stage == 2     # it still takes keys
    number = made.serial.hex()[4:-4]
    assert number not in printed and number.upper() not in printed      # nor where the file was written
    again = serve("--reader", "vpcd", "--port", str(pcscd.port), "--image", str(card), "--psam", str(sam))
    assert "310************0023 in the virtual reader" in again.first
    assert ykt(pcscd, "read")[1].startswith("交通联合卡")
    assert ykt(pcscd, "read", "--reader", pcscd.readers[1])[1].startswith("PSAM")
    assert again.end()[0] == 0


def office_serial() -> bytes:
    return Office(CARDS[0], bytes).content.files[0x15][10:20]


def test_a_blank_on_a_serial_reader_answers_too(serve: type[Served], tmp_path: Path):  # noqa: F811
    assert main(["card", "blank", "--profile", CARDS[1], "--folder", str(tmp_path)]) == 0
    image, link = tmp_path / "0000000000000001.json", str(tmp_path / "pn532")
    server = serve("--reader", "pn532", "--image", str(image), "--link", link, "--save")
    answers = clients.tamashell(link, ["4A0100", "400180CA9F7F0E", "400100A4040008A000000632010105"])
    assert answers[1:] == ["00" "0000000000000001544B00010005" "9000", "006A82"]
    assert server.end()[0] == 0


def test_a_blank_served_unsaved_says_that_it_will_be_lost(
    serve: type[Served], pcscd: Pcscd, tmp_path: Path  # noqa: F811
):
    assert main(["card", "blank", "--profile", CARDS[0], "--folder", str(tmp_path)]) == 0
    path = tmp_path / "0000000000000001.json"
    server = serve("--reader", "vpcd", "--port", str(pcscd.port), "--image", str(path))
    assert "is lost" in server.first and "blank 0000000000000001 in the virtual reader" in server.line()
    assert server.end()[0] == 0


def test_blanks_are_never_written_over_and_wrong_ones_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    made = ["blank", "--profile", CARDS[0], "--folder", str(tmp_path)]
    assert main(["card", *made, "--first-serial", "2"]) == 0
    assert "0000000000000002.json exists" in refused(capsys, *made, "--count", "3")
    assert [path.name for path in tmp_path.iterdir()] == ["0000000000000002.json"]      # and nothing else was written
    assert "name one of sample_card_3des" in refused(capsys, "blank", "--profile", "x", "--folder", str(tmp_path))
    assert "run past 8 bytes" in refused(capsys, *made, "--first-serial", "F" * 16, "--count", "2")
    assert "is a PSAM: name it by --psam" in refused(
        capsys, "serve", "--reader", "vpcd", "--image", str(IMAGES / "psam.json"))
    psam_blank = tmp_path / "psam"
    assert main(["card", "blank", "--profile", PSAMS[0], "--folder", str(psam_blank)]) == 0
    path = str(psam_blank / "0000000000000001.json")
    assert "is a PSAM" in refused(capsys, "serve", "--reader", "vpcd", "--image", path)
    blank = str(tmp_path / "0000000000000002.json")
    assert "is a card: name it by --image" in refused(
        capsys, "serve", "--reader", "vpcd", "--image", str(IMAGES / "card.json"), "--psam", blank)
    for wrong in (["--count", "0"], ["--first-serial", "x"]):
        with pytest.raises(SystemExit) as caught:
            main(["card", *made, *wrong])
        assert caught.value.code == 2


# --- traces


def test_a_trace_is_told_in_words():
    vector = VECTORS["plain_purchase"]
    text = ["card on", "card > 00A4040008A000000632010105", "card < 6A82", f"card > {vector['init_cmd']}",
            f"card < {vector['init_rsp']}", f"card > {vector['debit_cmd']}", "card < 9302",
            "card > 00B095001E", "card < 6C1E", "card > 0082000008" + "00" * 8, "card < 63C4"]  # fmt: skip
    words = "\n".join(card_trace.explain(text))
    for said in ("card on", "card > 选择应用 | SELECT", "card < 6A82 无此文件或应用 | no such file or application",
                 "消费初始化 | INITIALIZE FOR PURCHASE", "amount_fen = 200 fen", "balance_fen = 5000 fen",
                 "扣款 | DEBIT FOR PURCHASE", "9302 MAC 错误 | MAC wrong", "读文件 | READ BINARY  15h +0",
                 "6C1E 正确的 Le 30 | 30 is the right Le", "外部认证 | EXTERNAL AUTHENTICATE",
                 "63C4 剩余次数 4 | 4 tries left"):
        assert said in words, said


def test_bare_hex_takes_turns_and_masked_bytes_stay_masked():
    words = card_trace.explain(["00 B2 01 C4 17", "6A 83", "805C000204", "00001388 9000", "04D6951808********11223344"])
    assert words[0].endswith("18h #1") and words[1].startswith("< 6A83")
    assert words[3:5] == ["< 9000 成功 | done", "    balance_fen = 5000 fen"]
    assert words[-1].strip() == "********11223344"


def test_what_is_no_trace_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "trace.txt"
    path.write_text("nothing here\n")
    assert "no line of hex" in refused(capsys, "trace", str(path))
    path.write_text("card > 00A4\n")
    assert main(["card", "trace", str(path)]) == 0
    assert "选择" in capsys.readouterr().out


def test_the_output_of_serve_can_be_traced(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """As the tool itself writes it, for each kind of image."""
    from simulator.trace import Traced

    lines: list[str] = []
    held = Held(Traced(card_of(ridden()), "card", lines.append, example_card().serial))
    card_read.read(held)
    path = tmp_path / "trace.txt"
    path.write_text("\n".join(lines))
    assert main(["card", "trace", str(path)]) == 0
    out = capsys.readouterr().out
    assert "9990000000000017" not in out.replace(" ", "") and "读记录 | READ RECORD  1Eh #1" in out


def test_images_that_a_person_may_hold_are_all_read():
    for name in ("card.json", "dual.json", "psam.json", "legacy_psam.json"):
        image = load_image(IMAGES / name)
        card: Any = SimPsam(image) if isinstance(image, PsamImage) else card_of(image)
        assert told(card)[0]["kind"] == ("psam" if "psam" in name else "card")
