"""The locks: exact versions with hashes, of all that pyproject.toml asks for, and nothing about the machine they came from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.files import ROOT

LOCKS = {"requirements.lock": ("build",), "requirements-test.lock": ("build", "test")}
LINE = re.compile(r"^([a-z0-9.-]+(?:\[[a-z,]+\])?)==([^ ;\\]+)( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pinned(name: str) -> dict[str, str]:
    """Version by distribution; every line is a pin, one of its hashes, or a comment."""
    found, hashes = {}, 0
    for line in (ROOT / name).read_text().splitlines():
        if line.lstrip().startswith("#"):
            continue
        if made := LINE.match(line):
            found[canonicalize_name(made[1].partition("[")[0])] = made[2]
            hashes = 0
            continue
        assert HASH.match(line), f"{name}: {line}"
        hashes += 1
    assert hashes
    return found


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
