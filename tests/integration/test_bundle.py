"""What is delivered: the list of parts equals the lock; the bundle installs where nothing can be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.files import ROOT
from tests.locks import hashes, pinned

MACHINES = ("x86_64", "aarch64")


def test_the_list_of_parts_is_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "bom.json"
    tool = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "cyclonedx_py",
        "requirements",
        "--short-PURLs",
        "--output-reproducible",
    ]
    subprocess.run([*tool, "-o", str(out), str(ROOT / "requirements.lock")], check=True, capture_output=True)
    found = {one["name"]: one for one in json.loads(out.read_text())["components"]}
    assert {name: one["version"] for name, one in found.items()} == pinned("requirements.lock")
    listed = {
        name: {entry["content"] for reference in one["externalReferences"] for entry in reference["hashes"]}
        for name, one in found.items()
    }
    assert listed == hashes("requirements.lock")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "out"
    variables = {**os.environ, "PYTHON": sys.executable, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([ROOT / ".ci" / "bundle", out], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_each_machine_gets_every_wheel_of_the_lock(bundle: Path, machine: str) -> None:
    names = {path.name.split("-")[0].replace("_", "-").lower() for path in (bundle / machine).iterdir()}
    elsewhere = {"colorama", "win32-setctime"}  # the lock has them for Windows
    assert names == {name.lower() for name in pinned("requirements.lock")} - elsewhere
    assert all(path.name.endswith((f"{machine}.whl", "any.whl")) for path in (bundle / machine).iterdir())


@pytest.mark.slow
def test_it_installs_as_it_says_without_a_network(bundle: Path, tmp_path: Path) -> None:
    if os.uname().machine not in MACHINES:
        pytest.skip(f"a bundle is for {' and '.join(MACHINES)}")
    said = (bundle / "INSTALL").read_text()
    assert "--require-hashes" in said and "SHA256SUMS" in said
    home = tmp_path / "opt"
    venv.create(home, with_pip=True)
    steps = said.replace("python3 -m venv /opt/duenotice", "true").replace("/opt/duenotice", str(home))
    nowhere = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    done = subprocess.run(["bash", "-euc", steps], cwd=bundle, env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run([home / "bin" / "duenotice", "--version"], capture_output=True, text=True, check=True)
    assert "duenotice" in told.stdout


@pytest.mark.slow
def test_a_changed_file_is_refused(bundle: Path) -> None:
    altered = next((bundle / MACHINES[0]).iterdir())
    before = altered.read_bytes()
    altered.write_bytes(before + b"x")
    try:
        done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=bundle, capture_output=True, check=False)
        assert done.returncode == 1
    finally:
        altered.write_bytes(before)
