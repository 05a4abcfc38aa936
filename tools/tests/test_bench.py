"""What a figure says of its goal, and the names a program reads."""

from tools.bench import Figure, _words


def test_a_goal_bounds_from_above_or_from_below() -> None:
    cases = ((1, False, True), (2, False, True), (3, False, False), (1, True, False), (2, True, True))
    for value, at_least, met in cases:
        figure = Figure("a.b", value, "1/s", "another", 2.0, goal=1.0, at_least=at_least)
        assert figure.met is met
        assert _words(figure).endswith(f"goal {'>=' if at_least else '<='} 1: {'met' if met else 'MISSED'}")
    assert Figure("a.b", 1, "1/s", "another", 2.0, at_least=True).met is None


def test_the_names_of_the_json_stay() -> None:
    wanted = ["name", "value", "unit", "reference", "reference_value", "goal", "ratio", "met"]
    assert list(Figure("a.b", 1, "1/s", "another", 3.0, goal=0.5, at_least=True).as_object()) == wanted
