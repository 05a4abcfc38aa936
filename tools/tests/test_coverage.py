"""What counts as a statement MicroPython can be seen to execute."""

from tools.coverage_mp import cover

SOURCE = '''\
"""A docstring leaves no bytecode."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
_LIMIT = const(3)


@micropython.viper
def fast(a: int):
    return a


def slow(
    a,
):
    """Nor does this one."""
    if a > \\
            _LIMIT:
        return call(a,
                    a)
    return 0
'''


def test_statements_are_counted_once_by_any_of_their_own_lines(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)

    assert cover(path, hit=set()) == {"statements": 4, "hit": 0, "missed": [3, 18, 20, 22]}
    assert cover(path, hit={3, 19, 21}) == {"statements": 4, "hit": 3, "missed": [22]}
