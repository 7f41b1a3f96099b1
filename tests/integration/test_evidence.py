"""What proves one notice: a document that names every item, and files that hold against the signed log without the store."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from daemon.app_parts import worlds_of
from daemon.channels.channel import ReceiptIn, ReceiptKind, Uplink
from daemon.cli import main
from daemon.intake import Intake
from daemon.report import queries
from daemon.store import restrictions, worklist
from tests.builders_day import DAY, Place, at, install, live, publish

WHO = ("--by", "zhang", "--reason", "lawsuit")
MARGIN = "margin/maintenance"
RECORDING = "ab" * 32
ITEMS = (
    "一、证据清单", "二、合同条款与规则依据", "三、约定渠道与当时有效的联系地址", "四、计算底稿", "五、通知原文",
    "六、发送记录与平台应答", "七、原始回执与客户回应", "八、人工处理", "九、规则版本与批准人", "十、系统状况说明",
    "十一、审计记录与核验方法",
)  # fmt: skip
FACTS = (
    "合同追保线", "证券公司监督管理条例", "本次重算与当时记录一致", "已送达终端", "客户确认已知晓", "已接通并告知",
    "没有人对这套规则签名",
)  # fmt: skip


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A day of margin accounts; of one notice came a receipt, an acknowledgement and a call that was recorded."""
    place = install(tmp_path_factory.mktemp("day") / "installation", clients=60, days=[DAY])
    live(place, DAY)
    with closing(place.store()) as store:
        with store.read() as tx:
            row = _called(tx)
            message = next(m for m in _messages(tx, row["id"]) if m["platform_id"])
            body = json.loads(_open(tx, message["body"]))
        heard = (
            ReceiptIn(message["platform_id"], body["recipient"], ReceiptKind.DELIVERED, "", at(DAY, "21:40"), b"<receipt/>"),
            Uplink("u1", body["recipient"], "text", "已知晓", "", "", "", at(DAY, "21:45"), b'{"text":"seen"}'),
        )  # fmt: skip
        Intake(store, worlds_of(store, {})).keep("trial", heard, at(DAY, "21:45"))
        with store.write() as tx:
            worklist.open_task(
                tx, "call", "no answer", now=at(DAY, "21:50"), rule=MARGIN, notice=row["id"], subject=row["subject"]
            )
            (task,) = [one for one in worklist.tasks_of(tx) if one["key"] == "call"]
        with store.write() as tx:
            worklist.take(tx, task["id"], by="li", now=at(DAY, "21:51"))
        with store.write() as tx:
            worklist.close(tx, task["id"], by="li", result="reached", now=at(DAY, "21:55"), recording=RECORDING)
        publish(store, place.settings)
    return place


@pytest.fixture(scope="module")
def pack(lived: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of that notice's episode; only read."""
    out = tmp_path_factory.mktemp("evidence") / "pack"
    with closing(lived.store()) as store, store.read() as tx:
        episode = _called(tx)["episode"]
    done = _run(lived, "audit", "evidence", "--episode", str(episode), "--out", str(out), *WHO)
    assert done == 0
    return out


@pytest.fixture(scope="module")
def key(lived: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier key, as it is handed over another way."""
    from daemon.cli.audit import live_keys

    path = tmp_path_factory.mktemp("key") / "key"
    with closing(lived.store()) as store:
        path.write_text("".join(f"{one}\n" for one in live_keys(lived.settings, store)))
    return path


def _called(tx: Any) -> Any:
    """The notice of a margin account that all is about."""
    return next(row for row in queries.notices_of(tx, rule=MARGIN) if row["told_at"])


def _messages(tx: Any, notice: str) -> Any:
    from daemon.store import outbox

    return outbox.of_notice(tx, notice)


def _open(tx: Any, id: str) -> bytes:
    from daemon.store import seals

    return seals.get(tx, id)


def _run(place: Place, *argv: str) -> int:
    return main(["--config", str(place.config), "--lang", "en", *argv])


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str], key: Path) -> Callable[[Path], tuple[int, dict[str, bool]]]:
    """Exit code, and check by check whether it is good."""

    def check(folder: Path) -> tuple[int, dict[str, bool]]:
        capsys.readouterr()
        code = main(["audit", "evidence", "--check", str(folder), "--key", str(key), "--json"])
        return code, {one["name"]: one["ok"] for one in json.loads(capsys.readouterr().out)["checks"]}

    return check


def text_of(pdf: Path) -> str:
    return "".join(page.extract_text() for page in PdfReader(pdf).pages)


def test_the_document_names_each_item_of_its_list(pack: Path) -> None:
    text = text_of(pack / "evidence.pdf").replace("\n", "")
    for item in ITEMS:
        assert item in text
    for fact in FACTS:
        assert fact in text, fact


def test_the_words_the_address_and_the_figures_are_those_that_were_sent(pack: Path) -> None:
    found = json.loads((pack / "evidence.json").read_text())
    text = text_of(pack / "evidence.pdf").replace("\n", "")
    said = [words for notice in found["notices"] for words in notice["said"].values()]
    assert said
    for words in said:
        assert words["recipient"] in text
        assert words["sms_text"].replace("\n", "") in text
        assert words["description"].replace("\n", "") in text or words["channel"] == "sms"
    for value in {item["recording"] for item in _tasks(found)}:
        assert value in text.replace(" ", "")
    digest = sha256(b"<receipt/>").hexdigest()
    assert digest in text


def _tasks(found: Any) -> list[dict[str, str]]:
    return [one["record"]["data"] for one in found["records"] if "recording" in one["record"]["data"]]


def test_accepted_is_never_worded_as_delivered(pack: Path) -> None:
    text = text_of(pack / "evidence.pdf").replace("\n", "")
    assert "平台已受理（仅表示平台收下，不表示送达）" in text
    found = json.loads((pack / "evidence.json").read_text())
    delivered = sum(
        receipt["kind"] == "delivered" for n in found["notices"] for m in n["messages"] for receipt in m["receipts"]
    )
    assert text.count("已送达终端") == delivered


def test_the_folder_holds_against_the_signed_log_without_the_store(pack: Path, checked: Any) -> None:
    code, found = checked(pack)
    assert code == 0
    assert found == {"sums": True, "proofs": True, "opened": True, "rule sets": True, "approvals": True}
    sums = subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=pack, check=False)
    assert sums.returncode == 0


def test_every_value_that_the_records_commit_to_is_there(pack: Path) -> None:
    found = json.loads((pack / "evidence.json").read_text())
    promised = {(one["record"]["id"], path) for one in found["records"] for path in one["record"].get("com", {})}
    opened = {tuple(path.name.split(".", 1)) for path in (pack / "opened").iterdir() if path.name != "KEY"}
    left_out = {(one["record"], one["path"]) for one in found["unopened"]}
    assert opened | left_out == promised
    assert not opened & left_out
    assert {path for _, path in opened} >= {"body", "address", "occurrence", "raw"}
    assert (pack / "opened").stat().st_mode & 0o077 == 0


def test_making_it_is_a_record_that_names_the_whole_folder(pack: Path, lived: Place, capsys: Any) -> None:
    capsys.readouterr()
    _run(lived, "audit", "show", "--kind", "export", "--json")
    record = json.loads(capsys.readouterr().out)[0]
    assert record["actor"] == "person:zhang"
    assert record["data"]["what"] == "evidence"
    assert record["data"]["sha256"] == sha256((pack / "SHA256SUMS").read_bytes()).hexdigest()


def test_records_that_are_not_published_yet_prove_nothing_and_are_refused(
    lived: Place, tmp_path: Path, capsys: Any
) -> None:
    place = lived.copy(tmp_path / "installation")
    with closing(place.store()) as store, store.write() as tx:
        row = _called(tx)
        worklist.open_task(
            tx, "late", "why", now=at(DAY, "22:00"), rule=MARGIN, notice=row["id"], subject=row["subject"]
        )
    out = tmp_path / "pack"
    assert _run(place, "audit", "evidence", "--notice", row["id"], "--out", str(out), *WHO) != 0
    assert "not published yet" in capsys.readouterr().err
    assert not out.exists()
    assert not list(tmp_path.glob(".evidence-*"))


@pytest.mark.parametrize("lost", ["checkpoint", "tile/entries"])
def test_a_log_that_lacks_a_proof_is_said_and_nothing_is_made(
    lived: Place, tmp_path: Path, capsys: Any, lost: str
) -> None:
    place = lived.copy(tmp_path / "installation")
    with closing(place.store()) as store, store.read() as tx:
        notice = _called(tx)["id"]
    (place.folder / "trail" / lost).rename(tmp_path / "elsewhere")
    out = tmp_path / "pack"
    assert _run(place, "audit", "evidence", "--notice", notice, "--out", str(out), *WHO) != 0
    assert "expected each record in the signed log" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ("--notice", "no-such-notice", "--out", "x", *WHO),
        ("--notice", "", "--out", "x", *WHO),
        ("--episode", "999999", "--out", "x", *WHO),
        ("--notice", "0", *WHO),
        ("--notice", "0", "--out", "x", "--by", "zhang"),
        ("--check", "."),
        ("--check", "no-such-folder", "--key", "k"),
        ("--notice", "0", "--out", "no-such-folder/x", *WHO),
    ],
)
def test_wrong_use_is_refused_and_makes_nothing(
    lived: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(lived, "audit", "evidence", *argv) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_restricted_client_is_revealed_under_a_legal_hold_only_and_a_shredded_one_never(
    lived: Place, tmp_path: Path, capsys: Any
) -> None:
    place = lived.copy(tmp_path / "installation")
    now, out = at(DAY, "22:00"), tmp_path / "pack"
    with closing(place.store()) as store:
        with store.write() as tx:
            row = _called(tx)
            restrictions.restrict(tx, row["client"], until=DAY, by="li", reason="asked", now=now)
        argv = ("audit", "evidence", "--notice", row["id"], "--out", str(out), *WHO)
        assert _run(place, *argv) == 2
        assert "restricted" in capsys.readouterr().err
        with store.write() as tx:
            restrictions.hold(tx, row["client"], by="li", reason="a lawsuit", now=now)
        publish(store, place.settings)
        assert _run(place, *argv) == 0
        shutil.rmtree(out)
        with store.write() as tx:
            restrictions.shred_again(tx, row["client"], by="li", now=now)
        publish(store, place.settings)
    assert _run(place, *argv) == 2
    assert "destroyed" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_is_no_font_is_named(lived: Place, tmp_path: Path, capsys: Any) -> None:
    font = tmp_path / "font.ttf"
    font.write_bytes(b"no font")
    with closing(lived.store()) as store, store.read() as tx:
        notice = _called(tx)["id"]
    argv = ("audit", "evidence", "--notice", notice, "--out", str(tmp_path / "pack"), "--font", str(font), *WHO)
    assert _run(lived, *argv) == 1
    assert str(font) in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()


# What a forger tries, with the sums made good again each time.


def _resummed(folder: Path) -> None:
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    sums = "".join(f"{sha256((folder / path).read_bytes()).hexdigest()}  {path}\n" for path in files)
    (folder / "SHA256SUMS").write_text(sums)


def _other_words(folder: Path) -> str:
    body = next(path for path in (folder / "opened").iterdir() if path.name.endswith(".body"))
    body.write_bytes(body.read_bytes().replace("追".encode(), "迫".encode()))
    return "opened"


def _other_key(folder: Path) -> str:
    (folder / "opened" / "KEY").write_text("00" * 32 + "\n")
    return "opened"


def _a_record_more(folder: Path) -> str:
    proofs = json.loads((folder / "proofs.json").read_text())
    leaf = json.loads(base64.b64decode(proofs["records"][-1]["leaf"]))
    leaf["data"]["outcome"] = "delivered"
    made = json.dumps(leaf, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    proofs["records"][-1]["leaf"] = base64.b64encode(made).decode()
    (folder / "proofs.json").write_text(json.dumps(proofs))
    return "proofs"


def _another_index(folder: Path) -> str:
    proofs = json.loads((folder / "proofs.json").read_text())
    proofs["records"][0]["index"] += 1
    (folder / "proofs.json").write_text(json.dumps(proofs))
    return "proofs"


def _no_records(folder: Path) -> str:
    proofs = json.loads((folder / "proofs.json").read_text())
    (folder / "proofs.json").write_text(json.dumps(proofs | {"records": []}))
    return "proofs"


def _another_head(folder: Path) -> str:
    proofs = json.loads((folder / "proofs.json").read_text())
    lines = proofs["checkpoint"].split("\n")
    lines[1] = str(int(lines[1]) + 1)
    (folder / "proofs.json").write_text(json.dumps(proofs | {"checkpoint": "\n".join(lines)}))
    return "proofs"


def _another_rule(folder: Path) -> str:
    listed = next(p for p in (folder / "rules").iterdir() if b"  rules/" not in p.read_bytes())
    listed.write_bytes(listed.read_bytes() + b"#")
    return "rule sets"


def _a_rule_less(folder: Path) -> str:
    next(p for p in (folder / "rules").iterdir() if b"  rules/" not in p.read_bytes()).unlink()
    return "rule sets"


def _a_statement_of_nobody(folder: Path) -> str:
    (folder / "approvals").mkdir()
    raw = b"I approve"
    (folder / "approvals" / sha256(raw).hexdigest()).write_bytes(raw)
    (folder / "approvals" / f"{sha256(raw).hexdigest()}.sig").write_bytes(b"")
    return "approvals"


@pytest.mark.parametrize(
    "forge",
    [
        _other_words, _other_key, _a_record_more, _another_index, _no_records, _another_head, _another_rule, _a_rule_less,
        _a_statement_of_nobody,
    ],
)  # fmt: skip
def test_a_forged_folder_with_good_sums_is_found(
    pack: Path, tmp_path: Path, checked: Any, forge: Callable[[Path], str]
) -> None:
    folder = tmp_path / "forged"
    shutil.copytree(pack, folder)
    found = forge(folder)
    _resummed(folder)
    code, checks = checked(folder)
    assert code == 1
    assert checks["sums"] is True
    assert checks[found] is False


@pytest.mark.parametrize("change", ["a file less", "a file more", "a link", "sums gone", "a path outside"])
def test_a_folder_that_is_not_as_its_sums_say_is_found(pack: Path, tmp_path: Path, checked: Any, change: str) -> None:
    folder = tmp_path / "forged"
    shutil.copytree(pack, folder)
    if change == "a file less":
        (folder / "evidence.json").unlink()
    elif change == "a file more":
        (folder / "more.txt").write_text("more")
    elif change == "a link":
        (folder / "evidence.json").unlink()
        (folder / "evidence.json").symlink_to(pack / "evidence.json")
    elif change == "sums gone":
        (folder / "SHA256SUMS").unlink()
    else:
        sums = (folder / "SHA256SUMS").read_text()
        (folder / "SHA256SUMS").write_text(sums + f"{'0' * 64}  ../../etc/passwd\n")
    code, checks = checked(folder)
    assert code == 1
    assert checks["sums"] is False


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(
    pack: Path, tmp_path_factory: pytest.TempPathFactory, checked: Any, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("byte") / "pack"
    shutil.copytree(pack, folder)
    path = data.draw(st.sampled_from(sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)))
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    assert checked(folder)[0] == 1


def test_the_pages_are_pictures_with_ink_and_chinese_in_them(lived: Place, tmp_path: Path) -> None:
    """With a font named, the words are in the file: drawn by another program, every page shows them."""
    font = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
    if not font.is_file() or shutil.which("pdftoppm") is None:
        lacking = "needs Debian's fonts-wqy-microhei and poppler-utils"
        assert "CI" not in os.environ, lacking
        pytest.skip(lacking)
    with closing(lived.store()) as store, store.read() as tx:
        notice = _called(tx)["id"]
    argv = ("audit", "evidence", "--notice", notice, "--out", str(tmp_path / "pack"), "--font", str(font), *WHO)
    assert _run(lived, *argv) == 0
    pdf = tmp_path / "pack" / "evidence.pdf"
    subprocess.run(["pdftoppm", "-r", "40", "-gray", str(pdf), str(tmp_path / "page")], check=True)
    pages = sorted(tmp_path.glob("page*.pgm"))
    assert len(pages) == len(PdfReader(pdf).pages) >= 3
    for page in pages:
        dark = sum(byte < 128 for byte in page.read_bytes()[20:])
        assert dark > 500, page
    said = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, check=True, text=True).stdout
    assert "约定渠道与当时有效的联系地址" in said.replace("\n", "")
