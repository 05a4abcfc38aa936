"""A fresh back office for each test, copied from one that was made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backoffice.tests.forge import City, Validator


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    City(folder).store.close()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "city"))


@pytest.fixture
def city(folder: Path) -> Iterator[City]:
    city = City(folder)
    yield city
    city.store.close()


@pytest.fixture
def bus(city: City) -> Validator:
    return Validator(city)
