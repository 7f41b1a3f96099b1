"""Twenty mistakes planted in one rule folder: `check` tells all at once, and the daemon that reloads it keeps what it has."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon import log
from daemon.app import App
from daemon.clock import SteppedClock
from daemon.compose import parts
from daemon.settings_files import load_settings
from tests.acceptance.played import ROOT, Played, copy_of

CORPUS = ROOT / "tests" / "corpus" / "twenty_mistakes" / "mistakes.yaml"
MISTAKES: dict[str, dict[str, Any]] = yaml.safe_load(CORPUS.read_text())["mistakes"]


def plant(folder: Path) -> None:
    """All mistakes into a copy of the shipped rules and cards."""
    for name, one in MISTAKES.items():
        path = folder / one["path"]
        if "add" in one:
            path.write_text(one["add"].replace("→", "\t"))
        elif "remove" in one:
            path.unlink()
        else:
            text = path.read_text()
            assert text.count(one["replace"]) == 1, name
            path.write_text(text.replace(one["replace"], one["by"]))


@pytest.fixture
def installed(demo: Played, tmp_path: Path) -> Played:
    """A demo whose rule folder is its own."""
    copy = copy_of(demo, tmp_path / "demo")
    for name in ("rules", "templates"):
        shutil.copytree(ROOT / name, copy.folder / name)
    config = copy.config.read_text()
    start = config.index("rules: {folder:")
    end = config.index("\n", start)
    copy.config.write_text(config[:start] + "rules: {folder: .., unsigned: allow}" + config[end:])
    return copy


def untold(findings: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The mistakes of which no finding names file, line, what was found and what is allowed."""
    for name, one in MISTAKES.items():
        path = one.get("named", one["path"])
        lines = (folder / path).read_text().split("\n")
        for finding in findings:
            text = " ".join(str(finding[key]) for key in ("key", "found", "allowed", "hint"))
            if finding["path"] != path or not all(said in text for said in one["says"]):
                continue
            if finding["found"] and finding["allowed"] and one["at"].replace("→", "\t") in lines[finding["line"] - 1]:
                break
        else:
            yield name


def test_there_are_twenty_in_different_files() -> None:
    assert len(MISTAKES) == 20
    assert len({one["path"] for one in MISTAKES.values()}) >= 12


def test_check_tells_all_twenty_with_file_line_found_and_allowed(installed: Played) -> None:
    assert installed.run("check") == "nothing is wrong\n"
    plant(installed.folder)
    assert list(untold(installed.found("check", code=1), installed.folder)) == []
    screen = installed.run("check", code=1)
    for name, one in MISTAKES.items():
        path = one.get("named", one["path"])
        told = [line for line in screen.splitlines() if line.startswith(f"{path}:") and "allowed" in line]
        assert any(all(said in line for said in one["says"]) for line in told), name


def test_rules_check_tells_them_too(installed: Played) -> None:
    plant(installed.folder)
    told = installed.found("rules", "check", str(installed.folder), code=1)["findings"]
    assert list(untold(told, installed.folder)) == []


@pytest.fixture
def journal() -> Iterator[io.StringIO]:
    """What the daemon logs."""
    stream = io.StringIO()
    log.start("INFO", stream)
    yield stream
    log.start("ERROR", sys.__stderr__)


def said(journal: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.getvalue().splitlines()]


def test_a_daemon_that_reloads_them_keeps_running_on_the_last_active_set(
    installed: Played, journal: io.StringIO
) -> None:
    now = datetime.fromisoformat((installed.folder / "now.txt").read_text())

    async def scene() -> tuple[str, str, int, str]:
        app = App(parts(load_settings(installed.config), SteppedClock(now), covers=lambda feed, day: False, since=now))
        await app.start()
        try:
            before, entries = app.ruleset.digest, len(app.timetable().entries)
            plant(installed.folder)
            app.reload()
            await app.pass_()
            after = app.ruleset.digest
            assert len(app.timetable().entries) == entries
            mend(installed.folder)
            app.reload()
            await app.pass_()
            return before, after, entries, app.ruleset.digest
        finally:
            await app.close()

    before, after, entries, mended = asyncio.run(scene())
    assert before == after == mended
    assert entries >= 10
    lines = said(journal)
    told = [line["finding"] for line in lines if line["say"] == "the rule folder has a mistake"]
    assert len(told) >= 20
    page = next(line for line in lines if line.get("action") == "page")
    assert page["severity"] == "urgent"
    assert before[:12] in page["sentence"]


def mend(folder: Path) -> None:
    """The shipped rules and cards again."""
    for name in ("rules", "templates"):
        shutil.rmtree(folder / name)
        shutil.copytree(ROOT / name, folder / name)


def test_a_daemon_that_starts_on_them_takes_the_last_active_set(installed: Played, journal: io.StringIO) -> None:
    now = datetime.fromisoformat((installed.folder / "now.txt").read_text())
    plant(installed.folder)

    async def scene() -> str:
        app = App(parts(load_settings(installed.config), SteppedClock(now), covers=lambda feed, day: False, since=now))
        await app.start()
        try:
            await app.pass_()
            return app.ruleset.digest
        finally:
            await app.close()

    with installed.store() as db:
        active = db.execute("SELECT digest FROM activations ORDER BY id DESC LIMIT 1").fetchone()[0]
    assert asyncio.run(scene()) == active
    assert any(line.get("action") == "page" and active[:12] in line["sentence"] for line in said(journal))
