"""The command line itself: what importing it loads, how it is called, what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli import NOUNS, Usage, language, main
from daemon.cli.notices import allowances
from daemon.cli.samples import masked
from daemon.cli.screen import Screen, pad, width
from daemon.cli.status import lock_held, role_of
from daemon.model.kinds import Absence
from daemon.shipped import shipped
from tests.builders_rules import shipped as shipped_set

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("sqlalchemy", "alembic", "pyarrow", "httpx", "aiohttp", "starlette", "uvicorn")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_importing_the_command_line_loads_nothing_heavy_and_is_quick() -> None:
    before = time.monotonic()
    loaded = _python("import sys, daemon.cli; print(*sorted({name.split('.')[0] for name in sys.modules}))").split()
    assert not set(HEAVY) & set(loaded)
    assert time.monotonic() - before < 2.0  # a whole interpreter on a busy machine; the import itself is measured below
    best = min(
        float(_python("import time; t = time.perf_counter(); import daemon.cli; print(time.perf_counter() - t)"))
        for _ in range(3)
    )
    assert best < 0.4


def test_help_and_rules_check_load_nothing_heavy() -> None:
    code = (
        "import sys; from daemon.cli import main; code = main({argv!r}); "
        "print(code, *sorted({{n.split('.')[0] for n in sys.modules}} & set({heavy!r})))"
    )
    for argv, ended in ((["--help"], 0), (["notices", "release", "--help"], 0), (["rules", "check", "."], 0)):
        last = _python(code.format(argv=argv, heavy=HEAVY)).splitlines()[-1]
        assert last.split() == [str(ended)], argv


@pytest.mark.parametrize("noun", [n for n in NOUNS if n != "carrier"])
def test_every_command_has_help(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([noun, "--help"]) == 0
    assert f"duenotice {noun}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["no-such-command"],
        ["rules"],
        ["rules", "replay"],
        ["rules", "replay", "--day", "2024-13-01"],
        ["rules", "replay", "--day", "yesterday"],
        ["notices", "release", "--by", "a", "--reason", "b"],
        ["notices", "release", "--hold", "1", "--reason", "b"],
        ["notices", "release", "--hold", "1", "--by", "two words", "--reason", "b"],
        ["notices", "release", "--hold", "1", "--by", "zhang", "--reason", "line\nfeed"],
        ["report", "completeness"],
        ["report", "sheet", "--poll", "1", "--rule", "r", "--out", "x"],
        ["--lang", "fr", "status"],
    ],
)
def test_wrong_use_ends_with_2_and_says_why(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("duenotice ")


def test_a_missing_configuration_is_a_finding_and_for_run_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = ["--config", str(tmp_path / "duenotice.yaml")]
    assert main(["status", *absent]) == 1
    assert "duenotice.yaml" in capsys.readouterr().err
    assert main(["run", *absent]) == 78


def test_options_for_everything_may_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path / "nowhere" / "duenotice.yaml")
    for argv in (
        ["--config", where, "audit", "show"],
        ["audit", "--config", where, "show"],
        ["audit", "show", "--config", where],
    ):
        assert main(argv) == 1
        assert where in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN", "LANG": "en_US"}, "zh"),
        ({"LANG": "C.UTF-8"}, ""),
        ({}, ""),
    ],
)
def test_the_locale_says_the_language(env: dict[str, str], expected: str) -> None:
    assert language(env) == expected


def test_tables_are_aligned_by_the_width_of_their_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Screen("zh").table(("规则", "数"), [("ipo", 1), ("融资融券", 12)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["规则      数", "ipo        1", "融资融券  12"]
    assert len({width(line) for line in lines}) == 1


@given(st.text(), st.integers(0, 40))
def test_padding_fills_to_the_width(text: str, wide: int) -> None:
    assert width(pad(text, wide)) == max(width(text), wide)
    assert pad(text, wide).rstrip(" ") == text.rstrip(" ")


def test_nothing_printed_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen("en")
    screen.line("a\x1b[2Jb\nc\u202ed")
    screen.table(("h",), [("x\ry",)])
    screen.pairs([("k", "v\x07")])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert "\u202e" not in out
    assert len(out.splitlines()) == 4


def test_values_are_shown_exactly_and_in_the_language() -> None:
    zh, en = Screen("zh"), Screen("en")
    assert zh.show(Decimal("1.50")) == "1.5"
    assert zh.show(Absence.STALE) == "（过期）"
    assert en.show(Absence.STALE) == "(stale)"
    assert (zh.show(True), en.show(False), en.show(None)) == ("是", "no", "-")
    assert en.show(datetime(2024, 2, 1, 0, 0, tzinfo=UTC)) == "2024-02-01 08:00:00"


def test_json_keeps_decimals_exact(capsys: pytest.CaptureFixture[str]) -> None:
    Screen("en").json({"ratio": Decimal("1.30"), "at": datetime(2024, 2, 1, tzinfo=UTC), "text": "中"})
    assert json.loads(capsys.readouterr().out) == {
        "ratio": "1.3",
        "at": "2024-02-01T00:00:00+00:00",
        "text": "中",
    }


def test_a_release_allows_only_what_it_names() -> None:
    seen = {"notify": 1600, "vanished": 4, "known": 90}
    assert allowances(["seen"], seen) == {"notify": 1600, "vanished": 4}
    assert allowances(["notify=12"], seen) == {"notify": 12, "vanished": 0}
    assert allowances(["notify=12", "vanished=3"], seen) == {"notify": 12, "vanished": 3}


@pytest.mark.parametrize(
    "given", [[], ["vanished=3"], ["notify"], ["notify=-1"], ["notify=many"], ["known=3"], ["notify=１"]]
)
def test_a_release_must_name_counts(given: list[str]) -> None:
    with pytest.raises(Usage):
        allowances(given, {"notify": 5})


def test_the_lock_table_tells_whether_a_parent_runs(tmp_path: Path) -> None:
    lock, table = tmp_path / "lock", tmp_path / "locks"
    assert lock_held(lock, tmp_path / "absent") is None
    table.write_text("")
    assert lock_held(lock, table) is False
    lock.touch()
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 7 08:01:{lock.stat().st_ino} 0 EOF\n")
    assert lock_held(lock, table) is True
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 7 08:01:{lock.stat().st_ino}9 0 EOF\n")
    assert lock_held(lock, table) is False


def test_a_store_that_never_started_says_so(tmp_path: Path) -> None:
    assert role_of(tmp_path, [], []) == ("never", None)


def test_sample_values_of_a_card_are_masked_where_they_are_personal() -> None:
    kind = shipped_set().kinds["margin_account"]
    shown = masked({"contract": "900000000123", "client_status": "normal", "cash_asset": Decimal(5), "line": "x"}, kind)
    assert shown == {"contract": "****0123", "client_status": "normal", "cash_asset": Decimal(5), "line": "x"}


def test_the_shipped_folders_are_those_of_the_checkout() -> None:
    assert shipped() == ROOT
