"""`duenotice audit evidence`: all that proves one notice or episode, as a document and as files that a machine checks."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of

if TYPE_CHECKING:
    from daemon.cli.screen import Screen
    from daemon.report.evidence import Evidence
    from daemon.settings import Settings
    from daemon.store.db import Store

PARTS = {
    "sums": ("文件散列", "hashes of the files"),
    "proofs": ("记录在签名日志中", "records are in the signed log"),
    "opened": ("原文与承诺值相符", "values are those committed to"),
    "rule sets": ("规则文件", "rule sets"),
    "approvals": ("批准声明", "statements of the approvers"),
}


def add(commands: Any) -> None:
    """The parser of `audit evidence`."""
    text = (
        "all that proves one notice or a whole episode: a PDF, and files that a machine checks; in clear, with a record"
    )
    evidence = commands.add_parser("evidence", help=text, description=text)
    what = evidence.add_mutually_exclusive_group(required=True)
    what.add_argument("--notice", metavar="ID", help="the notice, or the beginning of its id")
    episode = "an episode by its number, as `notices show` gives it, with those of the account that touch it in time"
    what.add_argument("--episode", type=int, metavar="N", help=episode)
    what.add_argument("--check", type=Path, metavar="DIR", help="check such a folder; needs --key, no configuration")
    evidence.add_argument("--out", type=Path, metavar="DIR", help="where to: a folder that is not there yet")
    evidence.add_argument("--font", type=Path, metavar="FILE", help="a TrueType font with Chinese, embedded in the PDF")
    evidence.add_argument("--key", type=Path, metavar="FILE", help="with --check: the verifier keys, from elsewhere")
    evidence.add_argument("--by", type=place.name, metavar="NAME", help="who does this; stands in the trail")
    evidence.add_argument("--reason", type=place.reason, metavar="TEXT", help="why; stands in the trail")
    place.listing(evidence)
    evidence.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Make or check a folder."""
    if args.check is not None:
        return _check(args)
    for name in ("out", "by", "reason"):
        if getattr(args, name) is None:
            raise Usage(f"audit evidence: found no --{name}, expected it")
    if args.out.exists():
        raise Usage(f"{args.out}: found something there, expected a name that is free")
    if not args.out.absolute().parent.is_dir():
        raise Usage(f"{args.out.absolute().parent}: found no folder, expected one in which {args.out.name} is made")
    settings = place.settings_of(args)
    with place.store_of(settings) as store:
        return _make(args, settings, store)


def _make(args: argparse.Namespace, settings: Settings, store: Store) -> int:
    """Gathered, written beside its place, recorded, and only then given its name."""
    from daemon.store import trail

    screen, now = screen_of(args), place.now()
    found = _gather(args, store)
    aside = Path(tempfile.mkdtemp(prefix=".evidence-", dir=args.out.absolute().parent))
    try:
        digest = _write(args, settings, found, aside, now)
        data = {"by": args.by, "reason": args.reason, "what": "evidence", "sha256": digest, "size": len(found.records)}
        with store.write() as tx:
            trail.append(
                tx, "export", t=now, actor=f"person:{args.by}", client=found.client, data=data,
                cause=found.told[0].story.notice["record"],
            )  # fmt: skip
        aside.rename(args.out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if args.json:
        notices = [one.story.notice["id"] for one in found.told]
        screen.json({"out": str(args.out), "notices": notices, "records": len(found.records), "sha256": digest})
        return 0
    screen.line(
        screen.say(
            f"证据材料写入 {args.out}：{len(found.told)} 份通知，{len(found.records)} 条记录",
            f"evidence written to {args.out}: {len(found.told)} notices, {len(found.records)} records",
        )
    )
    screen.line(screen.say("SHA256SUMS 的散列（已记入审计日志）：", "hash of SHA256SUMS, which the trail has:"))
    screen.line(digest, 2)
    return 0


def _gather(args: argparse.Namespace, store: Store) -> Evidence:
    from daemon.cli.notices import one_notice
    from daemon.report import evidence, evidence_rows
    from daemon.store import restrictions
    from daemon.store.subjects import Shredded

    with store.read() as tx:
        episodes = [] if args.episode is None else evidence_rows.episodes_with(tx, args.episode)
        if args.episode is None:
            rows = [one_notice(tx, args.notice)]
        else:
            rows = evidence_rows.notices_of_episodes(tx, [row["id"] for row in episodes])
        in_force = restrictions.open_of(tx, rows[0]["client"]) if rows else {}
    if not rows:
        raise Usage(f"episode {args.episode}: found no notice of it, expected an episode that `notices show` names")
    if restrictions.RESTRICTED in in_force and restrictions.LEGAL_HOLD not in in_force:
        raise Usage("evidence: found a client that is restricted, expected one that is not, or one under a legal hold")
    try:
        return evidence.gather(store, place.worlds(store), rows, episodes)
    except Shredded as gone:
        raise Usage(f"{gone}: the client's data are destroyed, expected a client that is still there") from None


def _write(args: argparse.Namespace, settings: Settings, found: Evidence, out: Path, now: datetime) -> str:
    """The whole folder; returns the hash that names it."""
    from daemon.audit.folder import folder_reader
    from daemon.cli.evidence_json import document
    from daemon.cli.evidence_paper import paper, title_of
    from daemon.pdf import write_pdf
    from daemon.report import evidence_pack

    files = evidence_pack.files_of(found, folder_reader(settings.path(settings.trail.folder)))
    head = evidence_pack.head_of(files)
    blocks = paper(found, head, by=args.by, reason=args.reason, now=now)
    foot = f"通知 {found.told[0].story.notice['id'][:16]}，{head.origin}"
    write_pdf(out / "evidence.pdf", title_of(found), blocks, foot=foot, font=args.font)
    files["evidence.pdf"] = (out / "evidence.pdf").read_bytes()
    files["evidence.json"] = document(found)
    return evidence_pack.write(out, files)


def _check(args: argparse.Namespace) -> int:
    from daemon.audit.folder import read_keys
    from daemon.report import evidence_pack

    if args.key is None:
        raise Usage("audit evidence --check: found no --key, expected the verifier keys, which come from elsewhere")
    if not args.check.is_dir():
        raise Usage(f"{args.check}: found no folder, expected one that `audit evidence` has made")
    screen: Screen = screen_of(args)
    checks, head = evidence_pack.check(args.check, read_keys(args.key, args.check))
    good = head is not None and all(one.ok for one in checks)
    if args.json:
        listed = [{"number": one.number, "name": one.name, "ok": one.ok, "detail": one.detail} for one in checks]
        screen.json({"ok": good, "checks": listed})
        return 0 if good else 1
    words = {True: ("通过", "ok"), False: ("不通过", "NOT OK")}
    heads = ("", "检查", "结果", "详情") if screen.lang == "zh" else ("", "check", "result", "detail")
    rows = [(one.number, screen.label(PARTS, one.name), screen.say(*words[one.ok]), one.detail) for one in checks]
    screen.table(heads, rows)
    screen.line(screen.say("证据材料可信", "good") if good else screen.say("证据材料不可信", "NOT good"))
    return 0 if good else 1
