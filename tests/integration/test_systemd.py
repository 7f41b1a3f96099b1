"""The unit as shipped: what it starts exists, what it sets is known, and little of the machine is open to it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon import cli
from daemon.cli import audit, backup
from daemon.cli import run as running
from daemon.settings_files import load_settings
from tests.files import ROOT

UNITS = sorted((ROOT / "systemd").glob("*.service"))
DAEMONS = [unit for unit in UNITS if "Type=notify" in unit.read_text()]
COMMANDS = {"backup": backup.go_backup, "audit": audit.go_verify, "run": running.go_run}
EXPOSURE = 10
"""In tenths, as `--threshold` counts: 1.0 of 10."""


def assigned(unit: Path, key: str) -> list[str]:
    """Every value that a key is given, in order."""
    text = unit.read_text().replace("%i", "deliver").replace("%l", "host1")  # what systemd puts in
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_exposure_is_at_most_one(unit: Path) -> None:
    if not shutil.which("systemd-analyze"):
        assert "CI" not in os.environ, "found no systemd-analyze, expected Debian's package systemd"
        pytest.skip("not run: there is no systemd-analyze on this machine")
    score = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit)]
    done = subprocess.run(score, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "✓" not in line) + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_starts_a_command_that_exists(unit: Path) -> None:
    (start,) = assigned(unit, "ExecStart")
    program, *args = shlex.split(start)
    assert program.endswith("/bin/duenotice")
    common, rest = cli.everywhere().parse_known_args(args)
    assert str(common.config).startswith("/etc/duenotice/")
    assert cli.tree("en", rest[0]).parse_args(rest).go is COMMANDS[rest[0]]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_sets_only_what_the_configuration_knows_and_what_it_may_write(unit: Path) -> None:
    given = dict(pair.split("=", 1) for line in assigned(unit, "Environment") for pair in shlex.split(line))
    ours = {name: value for name, value in given.items() if name.startswith("DUENOTICE_")}
    settings = load_settings(ROOT / "config" / "duenotice.yaml", ours)
    folders = [Path("/var/lib") / name for line in assigned(unit, "StateDirectory") for name in line.split()]
    for path in (settings.state, settings.trail.folder, settings.trail.heads):
        assert any(path.is_relative_to(folder) for folder in folders), path


def test_every_timer_starts_a_unit_of_its_name() -> None:
    timers = sorted((ROOT / "systemd").glob("*.timer"))
    assert {timer.with_suffix(".service") for timer in timers} == set(UNITS) - set(DAEMONS)


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda unit: unit.name)
def test_it_stays_down_where_only_a_person_can_help(unit: Path) -> None:
    assert assigned(unit, "RestartPreventExitStatus") == [str(running.CONFIG)] == [str(cli.UNUSABLE)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_key_file_comes_as_a_credential_of_the_name_that_the_configuration_asks_for(unit: Path) -> None:
    names = [value.partition(":")[0] for value in assigned(unit, "LoadCredentialEncrypted")]
    assert load_settings(ROOT / "config" / "duenotice.yaml", {}).keys.file in names
