"""What holds for all tests: Hypothesis' settings, and a store on each database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from daemon.log import logger
from daemon.store.db import Store
from tests import postgres
from tests.builders_store import new_store

# Two cores may be shared: how long one example takes says nothing.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A command run in this process logs to a stream that is closed with its test; no later test may meet it."""
    yield
    logger.remove()
    logger.add(sys.__stderr__ or sys.stderr)  # not the stream of a test: what a command prints is looked at


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new store: every test that takes it runs on both databases."""
    url = postgres.database() if request.param == "postgresql" else ""
    store = new_store(tmp_path / "state", url=url)
    yield store
    store.close()
