"""The locks: exact versions with hashes, of all that pyproject.toml asks for, and nothing about the machine they came from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.files import ROOT
from tests.locks import pinned

LOCKS = {"requirements.lock": ("build", "postgres"), "requirements-test.lock": ("build", "postgres", "test")}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_dependency_within_its_bounds(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in LOCKS[name] for r in project["optional-dependencies"][extra])]
    found = pinned(name)
    for text in wanted:
        asked = Requirement(text)
        version = found[canonicalize_name(asked.name)]
        assert Version(version) in asked.specifier, f"{name}: {asked} but {version}"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_index_address_and_no_path(name: str) -> None:
    assert re.findall(r"://|index-url|find-links|file:|\s/\w", (ROOT / name).read_text()) == []


def test_tests_run_on_what_is_installed_in_production() -> None:
    production, test = pinned("requirements.lock"), pinned("requirements-test.lock")
    assert {name: test.get(name) for name in production} == production


def test_no_data_frame_library_is_installed() -> None:
    assert {"pandas", "numpy"} & pinned("requirements.lock").keys() == set()
