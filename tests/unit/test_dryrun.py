"""Messages into a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.channels.channel import CallbackRefused, Outgoing, VerdictKind
from daemon.channels.dryrun import DryRun

NOW = datetime(2024, 2, 1, tzinfo=UTC)
CARD = {
    "message": {
        "generalPurposeCard": {
            "layout": {"cardOrientation": "VERTICAL"},
            "content": {
                "title": "王小明您好",
                "description": "请缴款",
                "suggestions": [{"reply": {"displayText": "已知晓"}}],
            },
        }
    }
}
OUTGOING = Outgoing("m1", "p1", "rcs", "10012345678", CARD, "王小明请缴款", "service", "c", "k", True, False)


def masked(text: str) -> str:
    return text.replace("王小明", "王**").replace("10012345678", "100****5678")


def read(folder: Path) -> dict[str, str]:
    """The files in `folder` by name, none below it."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def plain(text: str) -> str:
    return text


async def test_a_message_is_one_json_and_one_text_file(tmp_path: Path) -> None:
    verdict = await DryRun("dry", tmp_path / "out", plain).send(OUTGOING, now=NOW)
    assert (verdict.kind, verdict.platform_id) == (VerdictKind.ACCEPTED, "p1")
    assert json.loads((tmp_path / "out/p1.json").read_bytes())["card"] == CARD
    text = (tmp_path / "out/p1.txt").read_text()
    assert text == "rcs 10012345678 service\n王小明您好\n请缴款\n[已知晓]\n\n王小明请缴款\n"


async def test_personal_data_is_masked_in_every_place(tmp_path: Path) -> None:
    await DryRun("dry", tmp_path, masked).send(OUTGOING, now=NOW)
    written = "".join(read(tmp_path).values())
    assert "王小明" not in written
    assert "10012345678" not in written
    assert "100****5678" in written


async def test_a_repeat_leaves_one_message(tmp_path: Path) -> None:
    dry = DryRun("dry", tmp_path, plain)
    await dry.send(OUTGOING, now=NOW)
    await dry.send(replace(OUTGOING, body=dry.encode(OUTGOING)), now=NOW)
    assert sorted(read(tmp_path)) == ["p1.json", "p1.txt"]


async def test_an_id_with_path_signs_stays_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    await DryRun("dry", folder, plain).send(replace(OUTGOING, platform_id="../../p"), now=NOW)
    assert len(read(folder)) == 2
    assert read(tmp_path) == {}


async def test_a_folder_that_cannot_be_written_is_transient(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    verdict = await DryRun("dry", tmp_path / "file", plain).send(OUTGOING, now=NOW)
    assert (verdict.kind, verdict.code) == (VerdictKind.TRANSIENT, "not_written")


def test_a_dry_run_has_no_callbacks(tmp_path: Path) -> None:
    with pytest.raises(CallbackRefused):
        DryRun("dry", tmp_path, plain).parse_callback("x", {}, b"", NOW)
