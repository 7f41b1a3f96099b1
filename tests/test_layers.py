"""The house's rules for imports (.importlinter) hold, and would be noticed if they did not."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.files import ROOT

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
IMPORTS_SQLALCHEMY = re.compile(r"^\s*(from|import) sqlalchemy\b", re.MULTILINE)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {LINT}"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def contracts() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / ".importlinter")
    return found


def test_every_import_follows_the_layers_and_the_owners_of_libraries() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package, to break rules in."""
    shutil.copytree(ROOT / "daemon", tmp_path / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_broken_rules_are_found(house: Path) -> None:
    planted = {
        "model/money.py": "import httpx\n",
        "clock.py": "import daemon.store\n",
        "carrier/handsets.py": "from daemon.cards import width\n",
    }
    for name, line in planted.items():
        file = house / "daemon" / name
        file.write_text(file.read_text().replace("from __future__", line + "from __future__", 1))
    done = lint(house)
    assert done.returncode == 1
    for found in (
        "daemon.model.money -> httpx",
        "daemon.clock -> daemon.store",
        "daemon.carrier.handsets -> daemon.cards",
    ):
        assert found in done.stdout, done.stdout


def test_a_module_without_a_layer_is_found(house: Path) -> None:
    (house / "daemon" / "newcomer.py").write_text('"""Nobody has said where this belongs."""\n')
    done = lint(house)
    assert done.returncode == 1
    assert "newcomer" in done.stdout, done.stdout


def test_every_module_that_may_use_the_database_library_does() -> None:
    """An entry of the list that has become needless is taken off it."""
    named = contracts()["importlinter:contract:database"]["allowed_importers"].split()
    for module in named:
        path = ROOT / Path(*module.split("."))
        files = [*path.rglob("*.py")] if path.is_dir() else [path.with_suffix(".py")]
        assert any(IMPORTS_SQLALCHEMY.search(file.read_text()) for file in files), f"{module} needs no sqlalchemy"


def test_every_folder_of_code_is_a_package() -> None:
    """The import checker does not see a folder without `__init__.py`. Alembic loads its migrations as files."""
    folders = {path.parent for path in (ROOT / "daemon").rglob("*.py") if "migrations" not in path.parts}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
