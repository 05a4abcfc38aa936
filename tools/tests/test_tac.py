"""What a person is told of the bulk TAC verdicts, and the soak run in small."""

import pytest

from backoffice.keys import native
from tools import tac_soak
from tools.cli import main
from tools.paths import ROOT


def test_the_list_of_keys_says_which_way_verdicts_are_made(tmp_path, capsys):
    (tmp_path / "word").write_text("an invented passphrase\n")
    where = ["--vault", str(tmp_path / "city.vault"), "--passphrase-file", str(tmp_path / "word")]
    assert main(["keys", "new", "--test", *where]) == 0
    capsys.readouterr()
    assert main(["keys", "list", *where]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("TAC 批量验证：") and last.endswith(f"TAC verdicts in bulk: {native.state()}")


@pytest.mark.skipif(native.load() is None, reason=f"needs the library: {native.state()}")
def test_a_small_soak_finds_nothing_and_replays():
    first = tac_soak.soak(5000, 978, native.load())
    assert first[0] == 5000 and 10 < first[1] < 45
    assert tac_soak.soak(5000, 978, native.load()) == first


def test_the_soak_finds_a_wrong_verdict():
    """A library that takes every TAC for true."""

    class Gullible:
        variants = ["gullible"]

        def verify_rows(self, rows, resolve, plain, variant):
            return bytes(len(rows) // 48)

    with pytest.raises(AssertionError, match="row 0 of seed 978, gullible: 0 is wrong"):
        tac_soak.soak(5000, 978, Gullible())


def test_the_sources_lie_where_the_build_looks():
    assert native.build.ROOT == ROOT
