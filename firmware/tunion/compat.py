"""What the two interpreters name differently."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")
    const: Callable[[T], T]
else:
    try:
        from micropython import const
    except ImportError:

        def const(value):
            """CPython has no constant folding to ask for."""
            return value
