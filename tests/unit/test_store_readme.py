"""The store's page lists every table with the keys that the schema really has."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Table, UniqueConstraint

import daemon.store
from daemon.store.tables import metadata

PAGE = (Path(daemon.store.__file__).parent / "README.md").read_text(encoding="utf-8")
ROWS = {line.split("|")[1].strip(" `"): line.split("|")[3] for line in PAGE.splitlines() if line.startswith("| `")}


def keys_of(table: Table) -> set[str]:
    keys = [table.primary_key.columns]
    keys += [c.columns for c in table.constraints if isinstance(c, UniqueConstraint)]
    found = {", ".join(column.name for column in key) for key in keys}
    for index in table.indexes:
        if index.unique:
            where = index.dialect_options["sqlite"].get("where")
            names = ", ".join(column.name for column in index.columns)
            found.add(names if where is None else f"{names} [{where}]")
    return found


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_a_tables_unique_keys_are_on_the_page(table: Table) -> None:
    assert {key.strip(" `") for key in ROWS[table.name].split(" · ")} == keys_of(table)


def test_the_page_names_every_module() -> None:
    folder = Path(daemon.store.__file__).parent
    for path in folder.glob("[a-z]*.py"):
        assert f"`{path.name}`" in PAGE, path.name
