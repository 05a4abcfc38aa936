"""TLV and answers of arbitrary bytes: found, absent or refused by name, and always in bounded steps."""

from hypothesis import given
from hypothesis import strategies as st

from tunion.card import files, psam, purse
from tunion.card.apdu import Card, Command
from tunion.card.refusals import CardRefused, LinkLost
from tunion.record import BadInput

ANSWERED = [value for module in (purse, psam, files) for value in vars(module).values() if isinstance(value, Command)]
answers = st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda raw: raw + b"\x90\x00"))
tags = st.sampled_from((0x50, 0x84, 0x87, 0x6F, 0xA5, 0x9F08, 0x9F0C, 0xBF0C, 0x61, 0x4F))


def tlv(tag, value):
    head = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    length = bytes((len(value),)) if len(value) < 0x80 else bytes((0x81, len(value)))
    return head + length + value


@given(st.binary(max_size=120), st.lists(tags, max_size=4).map(tuple))
def test_arbitrary_bytes_hold_the_tag_or_not_or_are_refused(blob, path):
    try:
        found = files.tlv_find(blob, path)
    except BadInput:
        return
    assert found is None or found in blob


@given(st.binary(max_size=80))
def test_arbitrary_answers_to_select_never_break_the_terminal(blob):
    try:
        public = files.public_file(blob)
    except BadInput:
        return
    assert public is None or len(public.issuer + public.serial) == 18


@given(st.dictionaries(tags, st.binary(max_size=40), min_size=1, max_size=5), st.integers(0, 4), st.data())
def test_each_object_is_found_among_the_others_and_between_padding(objects, padding, data):
    body = b"".join(bytes(padding) + tlv(tag, objects[tag]) for tag in data.draw(st.permutations(sorted(objects))))
    if len(body) > 255:
        body = body[:0]
        objects = {}
    blob = tlv(0x6F, body) + bytes(padding)
    for tag, value in objects.items():
        assert files.tlv_find(blob, (0x6F, tag)) == value
    assert files.tlv_find(blob, (0x6F, 0x5F50)) is None


@given(st.sampled_from(ANSWERED), answers)
def test_arbitrary_answers_decode_or_are_refused(command, answer):
    try:
        reply = command.decode(answer)
    except LinkLost:
        assert len(answer) < 2 or answer[-2:] == b"\x90\x00"
    except CardRefused as refused:
        assert refused.sw == int.from_bytes(answer[-2:], "big") != 0x9000
    else:
        assert answer[-2:] == b"\x90\x00"
        assert command.reply is not None or reply == answer[:-2]


@given(st.lists(st.one_of(st.binary(max_size=6), st.binary(min_size=1, max_size=1).map(lambda xx: b"\x61" + xx),
                          st.binary(min_size=1, max_size=1).map(lambda xx: b"\x6c" + xx)), min_size=3, max_size=3))
def test_a_hostile_card_is_asked_at_most_three_times(answers):
    class Link:
        asked = 0

        def transceive(self, apdu, wait_ms):
            self.asked += 1
            return answers[self.asked - 1]

    link = Link()
    try:
        Card(link).send(purse.GET_BALANCE)
    except (LinkLost, CardRefused):
        pass
    assert 1 <= link.asked <= 3
