"""One pcscd for all tests of a module. Where the machine has room for one only, the next module waits for its end."""

from collections.abc import Iterator

import pytest

from simulator.pcscd import Pcscd


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    with Pcscd() as daemon:
        yield daemon


@pytest.fixture
def room_for_another(pcscd: Pcscd) -> None:
    """For tests that start a daemon of their own beside this one."""
    if pcscd.shared:
        pytest.skip("one pcscd at a time on this machine: mount namespaces are not allowed here")
