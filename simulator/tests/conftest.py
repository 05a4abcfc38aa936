"""One pcscd for all tests that need one: starting it is quick, its first look at a slot takes 0.4 s."""

from collections.abc import Iterator

import pytest

from simulator.pcscd import Pcscd


@pytest.fixture(scope="session")
def pcscd() -> Iterator[Pcscd]:
    with Pcscd() as daemon:
        yield daemon
