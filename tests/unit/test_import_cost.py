"""`import daemon.cli` is cheap: nothing heavy is loaded before the command that needs it runs."""

from __future__ import annotations

import subprocess
import sys

from tests.files import ROOT

HEAVY = frozenset(("sqlalchemy", "alembic", "pyarrow", "httpx", "aiohttp", "starlette", "uvicorn"))
SECONDS = 0.4
PROBE = """
import sys, time
start = time.perf_counter()
import daemon.cli
print(time.perf_counter() - start)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def probe(code: str = PROBE) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_importing_the_command_line_loads_no_heavy_library() -> None:
    assert HEAVY & set(probe()[1].split()) == set()


def test_importing_the_command_line_takes_less_than_0_4_seconds() -> None:
    """The best of five: how long it takes when nothing else holds the cores."""
    assert min(float(probe()[0]) for _ in range(5)) < SECONDS


def test_help_and_version_load_no_heavy_library() -> None:
    for option in ("--help", "--version"):
        code = f"import sys, daemon.cli; daemon.cli.main(['{option}']); print(*sys.modules)"
        assert HEAVY & set(probe(code)[-1].split()) == set()
