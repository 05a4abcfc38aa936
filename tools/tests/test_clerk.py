"""Clerks' commands in process: what they print, what they refuse, and Ctrl-C, which is not theirs alone."""

import os
import signal

import pytest

from simulator.rig.program import RigFault
from tools import clerk, cli


def test_output_comes_back_and_nothing_stays_changed(tmp_path, capsys):
    before, variables = signal.getsignal(signal.SIGTERM), dict(os.environ)
    told = clerk.in_process(["backoffice", "init", "--db", str(tmp_path / "a.sqlite")])
    assert "a.sqlite" in told and capsys.readouterr().out == ""
    assert (signal.getsignal(signal.SIGTERM), dict(os.environ)) == (before, variables)


def test_a_refusal_is_a_fault_with_its_words(tmp_path):
    with pytest.raises(RigFault, match="^ykt backoffice status refused: .*none.sqlite"):
        clerk.in_process(["backoffice", "status", "--db", str(tmp_path / "none.sqlite")])


def test_ctrl_c_ends_more_than_the_command(monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.bench.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clerk.in_process(["bench"])
    assert cli.main(["bench"]) == clerk.INTERRUPTED
