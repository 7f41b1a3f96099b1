"""What the pages say exists: commands, files, folders; and no file tells of the machine that made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import NOUNS
from tests.files import ROOT, tracked

README = (ROOT / "README.md").read_text()
COMMAND = re.compile(r"^    (python3 -m venv .*)$", re.MULTILINE)
SPOKEN = re.compile(r"^(?:\S*/)?duenotice (?:--config \S+ |--lang \S+ )*([a-z]+)")
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")

# Joined here, so that this file does not hold what it looks for.
MACHINE = re.compile(
    "|".join(("/ro" + r"ot/\w", "/ho" + r"me/\w", "/Us" + r"ers/\w", "/wo" + r"rk/\w", "/op" + "t/(wheels|pypi)"))
)
REGISTRY = re.compile(
    "|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", "--(extra-)?index" + "-url", "GOPROXY" + "=http"))
)


def texts() -> Iterator[tuple[Path, str]]:
    """Every tracked text file."""
    for path in tracked():
        try:
            yield path, (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue


def code(page: str) -> Iterator[str]:
    """Indented lines and what stands between backticks."""
    yield from (line.strip() for line in page.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", page)


PAGES = [path for path in tracked() if path.suffix == ".md"]


def test_readme_begins_with_two_commands_for_a_fresh_machine() -> None:
    assert len(COMMAND.findall(README)) == 2


@pytest.mark.parametrize("command", COMMAND.findall(README))
def test_what_a_readme_command_names_exists(command: str) -> None:
    for name in re.findall(r"-r (\S+)", command):
        assert (ROOT / name).is_file(), name
    last = command.rpartition(" && ")[2]
    assert re.match(r"^\.venv/bin/(duenotice demo|pytest)\b", last), last


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The very pattern by which .ci/run finds it, so that the two cannot drift apart."""
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"sed -nE 's/(.*)/\\1/p' README\.md", script)
    assert pattern, "found no sed over README.md in .ci/run"
    found = [m for line in README.splitlines() if (m := re.match(pattern[1].replace(r"\.", "[.]"), line))]
    assert len(found) == 1
    assert found[0][1] in COMMAND.findall(README)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_page_names_only_commands_that_exist(path: Path) -> None:
    spoken = (SPOKEN.match(text) for text in code((ROOT / path).read_text()))
    assert {m[1] for m in spoken if m} <= NOUNS.keys()


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_page_links_only_to_files_that_exist(path: Path) -> None:
    page = re.sub(r"`[^`\n]*`", "", (ROOT / path).read_text())
    inside = [name for name in LINK.findall(page) if "://" not in name]
    assert [name for name in inside if not (ROOT / path.parent / name).exists()] == []


def test_every_folder_of_the_package_is_explained() -> None:
    house = (ROOT / "daemon" / "README.md").read_text()
    folders = {
        path.parent for path in tracked() if path.parts[0] == "daemon" and path.suffix == ".py" and len(path.parts) == 3
    }
    silent = [f for f in folders if not (ROOT / f / "README.md").exists() and f"`{f.name}/`" not in house]
    assert sorted(map(str, silent)) == []


def test_every_module_stands_in_the_house_table() -> None:
    house = (ROOT / "daemon" / "README.md").read_text()
    modules = [
        path.name for path in tracked() if path.parts[0] == "daemon" and path.suffix == ".py" and len(path.parts) == 2
    ]
    assert [name for name in modules if f"`{name}`" not in house and name != "__init__.py"] == []


def test_every_folder_at_the_top_explains_itself() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert [name for name in sorted(folders) if not (ROOT / name / "README.md").exists()] == []


def test_no_file_names_the_machine_it_was_made_on() -> None:
    assert [(str(path), m[0]) for path, text in texts() if (m := MACHINE.search(text))] == []


def test_no_file_names_a_package_registry() -> None:
    assert [(str(path), m[0]) for path, text in texts() if (m := REGISTRY.search(text))] == []
