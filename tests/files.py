"""The files of the project, for tests that read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = frozenset((".git", ".venv", "__pycache__", "build", "dist", "duenotice-demo", "state", "heads"))


def tracked() -> list[Path]:
    """What git tracks, relative to ROOT; outside a clone, whatever no tool has made."""
    if (ROOT / ".git").exists():
        safe = f"safe.directory={ROOT}"  # the checkout may belong to another account
        done = subprocess.run(
            ["git", "-c", safe, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        )
        return [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).exists()]
    found = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*")) if path.is_file())
    return [
        path for path in found if not any(part in MADE or part.endswith(("_cache", ".egg-info")) for part in path.parts)
    ]
