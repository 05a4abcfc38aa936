"""The firmware stays within firmware/budget.toml, and a figure that does not is named."""

from tools import budget


def test_the_firmware_is_within_its_budget():
    assert budget.exceeded(budget.measure(), budget.limits()) == []


def test_a_figure_above_its_limit_or_without_one_is_named():
    allowed = {"bytes": {"frozen": 100}, "instructions": {}}
    measured = {"bytes": {"frozen": 101}, "instructions": {"tap.new": 5}}

    said = budget.exceeded(measured, allowed)

    assert [line.split(";")[0] for line in said] == [
        "frozen: 101 bytes, may be 100", "tap.new: 5 instructions, has no limit",
    ]  # fmt: skip
    assert budget.exceeded({"bytes": {"frozen": 100}}, allowed) == []


def test_what_is_written_is_what_is_read_and_stands_above_what_was_measured(tmp_path):
    file = tmp_path / "budget.toml"
    measured = {"bytes": {"frozen": 500000, "heap_at_peak": 1}, "instructions": {"tap.flat": 123456}}

    budget.write(measured, file)

    assert budget.exceeded(measured, budget.limits(file)) == []
    assert budget.limits(file)["instructions"]["tap.flat"] == 128000
