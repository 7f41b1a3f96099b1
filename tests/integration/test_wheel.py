"""The wheel is whole: installed alone it has rules, templates, configuration and units, and makes a valid installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.files import ROOT, tracked

Run = Callable[..., subprocess.CompletedProcess[str]]
CARRIED = ("rules", "templates", "config", "systemd")


def build(folder: Path) -> Path:
    """Built in `folder` from what git tracks, without reaching for anything."""
    source, out = folder / "source", folder / "wheel"
    for path in tracked():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "1704067200"}
    done = subprocess.run(
        [*pip, "-w", str(out), "."], cwd=source, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("duenotice-*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the command of a new environment that holds the wheel; libraries are lent by this one, the checkout is not."""
    fresh = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    python = fresh / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    env = {k: v for k, v in os.environ.items() if not k.startswith("DUENOTICE_")} | {
        "PYTHONPATH": os.pathsep.join(lent)
    }

    def command(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        whole = [str(python), str(fresh / "bin" / "duenotice"), *args]
        return subprocess.run(whole, cwd=cwd, env=env, capture_output=True, text=True, check=False)

    where = subprocess.run(
        [str(python), "-c", "import daemon; print(daemon.__file__)"],
        cwd=fresh,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(fresh)), where
    return command


def test_it_carries_every_tracked_file_of_the_package_and_of_the_folders_beside_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shares = {name.partition(".data/data/share/duenotice/")[2] for name in names}
    wanted = tracked()
    assert [str(p) for p in wanted if p.parts[0] in CARRIED and str(p) not in shares] == []
    assert [str(p) for p in wanted if p.parts[0] == "daemon" and str(p) not in names] == []
    assert [name for name in names if name.startswith("tests")] == []


def test_it_makes_an_installation_that_checks_without_a_finding(run: Run, tmp_path: Path) -> None:
    made = run("init", "firm", cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    checked = run("--config", "firm/config/duenotice.yaml", "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_it_plays_the_demo(run: Run, tmp_path: Path) -> None:
    played = run("demo", "--clients", "200", "--days", "2024-02-01", cwd=tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr


def test_built_again_elsewhere_it_is_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "another" / "place").read_bytes() == wheel.read_bytes()
