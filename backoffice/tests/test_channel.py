"""The channel to a chip that is written: chained MACs, named refusals, no try spent for nothing."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backoffice.cards import channel as ch
from backoffice.cards import profile as pr
from backoffice.cards.line import CardGone
from backoffice.tests.chips import Blank, SampleKeys, root
from tunion.card import psam

SERIAL = bytes.fromhex("0102030405060708")
SCHEMES = ("3DES", "AES")


def opened(scheme: str, blank: Blank | None = None) -> tuple[Blank, ch.Channel, SampleKeys]:
    keys = SampleKeys()
    blank = blank or Blank(SERIAL, root(f"transport-{scheme}-1"), scheme)
    channel = ch.Channel(blank, pr.sample(f"sample_psam_{scheme.lower()}"), keys)
    channel.open()
    return blank, channel, keys


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("get_response", (False, True))
def test_a_blank_goes_through_all_stages(scheme: str, get_response: bool) -> None:
    blank, channel, keys = opened(scheme)
    blank.get_response = get_response
    assert channel.open() == ch.Chip(SERIAL, b"\x12\x34", b"\x00\x01", 0, 3)

    channel.authenticate(keys.path("transport", scheme, 1, b"", SERIAL))
    control = keys.path("control", scheme, 1, b"", SERIAL)
    channel.write_key("control", 1, 1, scheme, control)
    assert blank.control == keys.value(control)
    channel.authenticate(control)
    channel.create_application()
    channel.create_file(pr.FileRow(0x18, "cyclic", 10, 23))
    channel.end_stage(1)
    for version in (1, 2):
        channel.write_key("purchase", 1, version, "3DES", keys.path("purchase", "3DES", version))
        assert blank.keys["purchase", 1, version] == (0, keys.value(keys.path("purchase", "3DES", version)))
    for sfi, size in ((0x15, 14), (0x16, 6), (0x17, 25)):
        channel.update_binary(sfi, bytes((sfi,)) * size)
    channel.end_stage(2)

    assert blank.aid == bytes.fromhex("A0000006324D4F542E435053414D3031")
    assert blank.kinds == {0x18: b"\x02\x00\x0a\x00\x17"}
    assert channel.open().stage == ch.STAGE_PERSONALISED
    assert channel.read_binary(0x16, 6) == b"\x16" * 6
    assert all(word == 0x9000 for _, word in channel.steps)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_under_a_number_that_is_taken(scheme: str) -> None:
    _, channel, keys = opened(scheme)
    channel.authenticate(keys.path("transport", scheme, 1, b"", SERIAL))
    target = keys.path("purchase", "3DES", 1)
    channel.write_key("purchase", 1, 1, "3DES", target)
    with pytest.raises(ch.KeyThere, match="write_key purchase 1: the chip answers 6A80"):
        channel.write_key("purchase", 1, 1, "3DES", target)
    channel.write_key("purchase", 1, 2, "3DES", target)  # the chain of MACs holds over a refusal


def test_the_wrong_transport_key_never_locks_a_chip() -> None:
    blank, channel, keys = opened("3DES")
    wrong = keys.path("transport", "3DES", 2, b"", SERIAL)
    for left in (2, 1):
        with pytest.raises(ch.WrongControlKey, match=f"63C{left}"):
            channel.authenticate(wrong)
    with pytest.raises(ch.LastTry):
        channel.authenticate(wrong)
    assert blank.tries == 1
    blank.tries = 0
    with pytest.raises(ch.ChipLocked):
        channel.authenticate(wrong)


def test_nothing_is_written_without_the_control_key() -> None:
    blank, channel, keys = opened("3DES")
    sent = blank.sent
    with pytest.raises(ch.NotAuthenticated):
        channel.end_stage(1)
    with pytest.raises(ch.NotAuthenticated):
        channel.write_key("purchase", 1, 1, "3DES", keys.path("purchase", "3DES", 1))
    assert blank.sent == sent
    channel.authenticate(keys.path("transport", "3DES", 1, b"", SERIAL))
    channel.select_mf()
    with pytest.raises(ch.NotAuthenticated):
        channel.end_stage(1)


def test_a_wrong_mac_ends_the_authentication() -> None:
    blank, channel, keys = opened("AES")
    channel.authenticate(keys.path("transport", "AES", 1, b"", SERIAL))
    blank.iv = os.urandom(8)  # the line lost a command in between
    with pytest.raises(ch.MacRefused, match="start this chip again"):
        channel.update_binary(0x16, bytes(6))
    with pytest.raises(ch.NotAuthenticated):
        channel.update_binary(0x16, bytes(6))


def test_a_stage_is_not_ended_before_its_time() -> None:
    _, channel, keys = opened("3DES")
    channel.authenticate(keys.path("transport", "3DES", 1, b"", SERIAL))
    with pytest.raises(ch.WrongStage, match="end_stage 1"):
        channel.end_stage(1)


@pytest.mark.parametrize(
    ("word", "kind"),
    [(0x6A82, ch.NoRoom), (0x6B00, ch.NoRoom), (0x6581, ch.BadMemory), (0x6D00, ch.NotOurs), (0x6E00, ch.NotOurs),
     (0x6F00, ch.ChipRefused), (0x6983, ch.ChipLocked), (0x63C0, ch.WrongControlKey)],
)  # fmt: skip
def test_status_words_have_names(word: int, kind: type[ch.ChipRefused]) -> None:
    refused = ch.refusal("update_binary 15", word)
    assert type(refused) is kind and refused.word == word
    assert f"{word:04X}" in str(refused) and refused.cure in str(refused)


class Mute:
    """A line whose chip answers the same to everything."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def power_on(self) -> bytes:
        return b"\x3b\x00"

    def transceive(self, apdu: bytes) -> bytes:
        return self.answer

    def power_off(self) -> None:
        pass


@pytest.mark.parametrize("answer", (b"", b"\x90", b"\x90\x00", b"\x01" * 13 + b"\x90\x00", b"\x61\x02"))
def test_answers_of_another_length_are_named(answer: bytes) -> None:
    channel = ch.Channel(Mute(answer), pr.sample("sample_psam_3des"), SampleKeys())
    with pytest.raises(ch.BadAnswer):
        channel.open()


def test_a_chip_that_is_pulled_is_gone() -> None:
    blank, channel, keys = opened("3DES")
    blank.gone_at = blank.sent + 2
    with pytest.raises(CardGone):
        channel.authenticate(keys.path("transport", "3DES", 1, b"", SERIAL))


def test_the_application_of_a_psam_is_its_own() -> None:
    assert psam.APPLICATION_NAME == pr.sample("sample_psam_aes").aid
    assert pr.names("psam") == ["sample_psam_3des", "sample_psam_aes"]


# --- profiles


def content() -> dict[str, Any]:
    return dict(json.loads((pr.PROFILES / "sample_card_aes.json").read_text()))


def test_the_samples_are_read() -> None:
    for name in pr.names():
        assert pr.sample(name).name == name
    card = pr.sample("sample_card_aes")
    assert card.scheme == "AES" and card.commands["get_chip"] == bytes.fromhex("80CA9F7F")
    assert card.file(0x15).kind == "transparent"
    with pytest.raises(pr.ProfileError, match="files: lacks 07"):
        card.file(0x07)


def test_every_field_is_needed_and_no_other_known() -> None:
    def walk(value: Any, place: str) -> Iterator[tuple[dict[str, Any], str, str]]:
        if isinstance(value, dict):
            for name in list(value):
                yield value, name, place
                yield from walk(value[name], f"{place}.{name}")
        elif isinstance(value, list):
            for at, one in enumerate(value):
                yield from walk(one, f"{place}[{at}]")

    tried = 0
    for number in range(sum(1 for _ in walk(content(), "it"))):
        whole = content()
        holder, name, place = list(walk(whole, "it"))[number]
        kept = holder.pop(name)
        with pytest.raises(pr.ProfileError, match=f"lacks {name}"):
            pr.parse(whole, "it")
        holder[name] = kept
        holder["stranger"] = 1
        with pytest.raises(pr.ProfileError, match="does not know stranger"):
            pr.parse(whole, "it")
        del holder["stranger"]
        wrongs: tuple[Any, ...] = (None, [], {}, -1, 70000, True, "", "ZZ", "0" * 500, 1.5)
        for wrong in wrongs:
            if name in ("name", "about", "origin") and wrong == "ZZ":
                continue
            holder[name] = wrong
            with pytest.raises(pr.ProfileError, match="^it"):
                pr.parse(whole, "it")
            tried += 1
    assert tried > 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.update(medium="isam"), "medium: must be card or psam"),
        (lambda it: it["commands"].update(get_chip="80CA9F"), "commands.get_chip: must be 4 bytes in hex"),
        (lambda it: it["usages"].update(tac=0), "usages: the same is said twice"),
        (lambda it: it["files"].append(it["files"][0]), "files: the same is said twice"),
        (lambda it: it["files"][0].update(sfi="1F"), r"files\[0\].sfi: must be from 01 to 1E"),
        (lambda it: it["files"][0].update(bytes=1), r"files\[0\].bytes: must be a whole number from 0 to 0"),
        (lambda it: it["keys"][0].update(algorithm="AES"), r"keys\[0\].algorithm: must be 3DES or SM4"),
        (lambda it: it.update(keys=[]), "keys: must be a list of 1 to 32 objects"),
    ],
)
def test_slips_are_named_by_their_place(change: Callable[[Any], None], said: str) -> None:
    whole = content()
    change(whole)
    with pytest.raises(pr.ProfileError, match=said):
        pr.parse(whole, "it")


def test_files_that_are_no_profile(tmp_path: Path) -> None:
    for text, said in (("", "not JSON"), ("[" * 9000, "not JSON"), ('{"name": 1, "name": 2}', "name twice"),
                       (" " * 70000, "too long"), ("[]", "must be an object")):  # fmt: skip
        (tmp_path / "it.json").write_text(text)
        with pytest.raises(pr.ProfileError, match=f"it.json.*{said}"):
            pr.named(str(tmp_path / "it.json"))
    with pytest.raises(pr.ProfileError, match="none.json: No such file"):
        pr.named(str(tmp_path / "none.json"))
    with pytest.raises(pr.ProfileError, match="no profile nonsuch"):
        pr.named("nonsuch")
