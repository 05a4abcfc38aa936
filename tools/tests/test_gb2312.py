"""The table of characters that displays are told: the one that the texts need, with the codes that Python knows."""

from tools import gb2312 as generator
from validator import messages
from validator.drivers import gb2312


def test_the_table_is_the_one_that_the_texts_need():
    assert generator.TABLE.read_text(encoding="utf-8") == generator.table(), "run python -m tools.gb2312"
    assert set(messages.driver_words("not_kept")[0]) <= set(gb2312.CHARACTERS) and "站" in gb2312.CHARACTERS


def test_each_code_is_the_one_of_the_standard():
    for letter in gb2312.CHARACTERS:
        assert gb2312.code(letter) == letter.encode("gb2312")
    assert (gb2312.code("A"), gb2312.code("\n"), gb2312.code("龍")) == (b"A", b"?", b"?")
