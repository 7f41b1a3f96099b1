"""`duenotice audit show|verify|export`; evidence is in evidence.py."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, evidence, labels, place
from daemon.cli.place import screen_of
from daemon.cli.screen import Screen

if TYPE_CHECKING:
    from daemon.audit.checkpoint import VerifierKey
    from daemon.audit.record import Record
    from daemon.audit.tree import Read
    from daemon.audit.verify import Report
    from daemon.settings import Settings
    from daemon.store.db import Store


def add(parsers: Any) -> None:
    """The parser of `audit`."""
    commands = place.subparsers(parsers, "audit", "The audit trail: what happened, and that it was not changed.")
    show = commands.add_parser("show", help="records, newest first")
    show.add_argument("--kind", default="", help="only this kind, such as poll or attempt")
    show.add_argument("--client", type=int, metavar="NUMBER", help="only those of this client's number")
    show.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
    place.listing(show)
    show.set_defaults(go=go_show)
    _verify(commands)
    _export(commands)
    evidence.add(commands)


def _verify(commands: Any) -> None:
    text = "check every record, hash, cause and sheet; exit 1 with the first bad record"
    verify = commands.add_parser("verify", help=text, description=text)
    verify.add_argument("dir", nargs="?", type=Path, metavar="DIR", help="an export; default: the live log")
    verify.add_argument("--key", type=Path, metavar="FILE", help="with DIR: the verifier keys, from elsewhere")
    verify.add_argument(
        "--sheets", type=Path, metavar="DIR", help="with DIR: the sheets in clear, under their file names"
    )
    verify.add_argument(
        "--seen", type=Path, metavar="FILE", help="a head kept from earlier: shows that nothing was cut off"
    )
    place.listing(verify)
    verify.set_defaults(go=go_verify)


def _export(commands: Any) -> None:
    text = "the log, rule sets and schemas as a folder or one tar file that can be verified without this program"
    export = commands.add_parser("export", help=text, description=text)
    export.add_argument(
        "out", type=Path, metavar="OUT", help="a folder that is not there yet, or a name that ends in .tar"
    )
    place.by_name(export)
    export.set_defaults(go=go_export)


def go_show(args: argparse.Namespace) -> int:
    """Records of the store, those not yet published too."""
    from daemon.audit.schemas import KINDS
    from daemon.report import queries

    if args.kind and args.kind not in KINDS:
        raise Usage(f"--kind: found {args.kind!r}, expected one of {', '.join(sorted(KINDS))}")
    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        found = queries.newest_records(tx, kind=args.kind, client=args.client, limit=args.limit)
    if args.json:
        screen.json([_record_json(position, record) for position, record in found])
        return 0
    heads = (
        ("序号", "时间", "种类", "何人", "客户", "规则", "内容")
        if screen.lang == "zh"
        else ("index", "time", "kind", "who", "client", "rule", "what")
    )
    rows = [
        (None if position < 0 else position, r.t, r.kind, r.actor, r.client, r.rule, _data(r)) for position, r in found
    ]
    screen.table(heads, rows)
    return 0


def _data(record: Record) -> str:
    """What a record says, on one line; lists by their length."""
    return " ".join(
        f"{key}=[{len(value)}]" if isinstance(value, list | dict) else f"{key}={value}"
        for key, value in sorted(record.data.items())
    )


def _record_json(position: int, record: Record) -> dict[str, Any]:
    names = ("id", "t", "node", "kind", "actor", "cause", "client", "rule", "rule_set", "card", "com", "data")
    return {"index": None if position < 0 else position} | {name: getattr(record, name) for name in names}


def go_verify(args: argparse.Namespace) -> int:
    """The numbered checks and the verdict."""
    from daemon.audit.folder import read_keys, sheets_in, verify_folder

    seen = None if args.seen is None else _read(args.seen)
    if args.dir is not None:
        if args.key is None:
            raise Usage("audit verify DIR: found no --key, expected the verifier keys, which come from elsewhere")
        sheets = None if args.sheets is None else sheets_in(args.sheets)
        screen = screen_of(args)
        return _show(screen, args, verify_folder(args.dir, read_keys(args.key, args.dir), seen=seen, sheets=sheets))
    from daemon.report.sheets_live import sheets_of_store

    settings = place.settings_of(args)
    screen = screen_of(args)
    screen.progress(screen.say("验证中……", "verifying …"))
    with place.store_of(settings) as store:
        keys = live_keys(settings, store)
        report = verify_folder(settings.path(settings.trail.folder), keys, seen=seen, sheets=sheets_of_store(store))
    screen.progress("")
    return _show(screen, args, report)


def live_keys(settings: Settings, store: Store) -> tuple[VerifierKey, ...]:
    """The keys with which this installation signs its log."""
    from daemon.audit.checkpoint import VerifierKey

    return tuple(VerifierKey(settings.trail.origin, key.public) for key in store.keyring.signing_keys)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise Usage(f"{path}: cannot be read ({wrong.strerror}), expected a file") from None


def _show(screen: Screen, args: argparse.Namespace, report: Report) -> int:
    if args.json:
        checks = [
            {"number": c.number, "name": c.name, "ok": c.ok, "detail": c.detail, "first_bad": c.first_bad}
            for c in report.checks
        ]
        screen.json({"ok": report.ok, "verdict": report.verdict, "first_bad": report.first_bad, "checks": checks})
        return 0 if report.ok else 1
    words = {True: ("通过", "ok"), False: ("不通过", "NOT OK"), None: ("跳过", "skipped")}
    rows = [(c.number, screen.label(labels.CHECKS, c.name), screen.say(*words[c.ok]), c.detail) for c in report.checks]
    heads = ("", "检查", "结果", "详情") if screen.lang == "zh" else ("", "check", "result", "detail")
    screen.table(heads, rows)
    screen.line(screen.label(labels.VERDICT_OF_LOG, report.verdict))
    if report.first_bad is not None:
        screen.line(screen.say(f"第一条有问题的记录：{report.first_bad}", f"first bad record: {report.first_bad}"))
    return 0 if report.ok else 1


def go_export(args: argparse.Namespace) -> int:
    """Write it, with the bytes of every rule set kept here, and record who took it."""
    from daemon.store import trail

    settings = place.settings_of(args)
    screen = screen_of(args)
    out: Path = args.out
    if out.exists():
        raise Usage(f"{out}: found something there, expected a name that is free")
    with place.store_of(settings) as store:
        size = _write(settings, store, out)
        digest = {"sha256": sha256(out.read_bytes()).hexdigest()} if out.is_file() else {}
        data = {"by": args.by, "what": "trail", "size": size, "reason": args.reason, **digest}
        with store.write() as tx:
            trail.append(tx, "export", t=place.now(), actor=f"person:{args.by}", data=data)
        keys = live_keys(settings, store)
    screen.line(screen.say(f"{size} 条记录写入 {out}", f"{size} records written to {out}"))
    screen.line(screen.say("验证公钥（请另行交付）：", "verifier key, to be handed over another way:"))
    _keys(screen, keys)
    return 0


def _keys(screen: Screen, keys: Sequence[VerifierKey]) -> None:
    for key in keys:
        screen.line(key, 2)


def _write(settings: Settings, store: Store, out: Path) -> int:
    """Write folder or tar file; returns the number of records. Raises Usage while nothing is published."""
    from daemon.audit.export import export_folder
    from daemon.audit.folder import folder_reader

    log = settings.path(settings.trail.folder)
    if not (log / "checkpoint").is_file():
        raise Usage(f"{log}: found no checkpoint, expected a log of which something is published")
    if out.suffix != ".tar":
        return export_folder(folder_reader(log), out, rule_bytes(store)).size
    return _tar(folder_reader(log), out, rule_bytes(store))


def _tar(read: Read, out: Path, files: Mapping[str, bytes]) -> int:
    from daemon.audit.export import export_folder, pack

    folder = Path(tempfile.mkdtemp(prefix="duenotice-export-", dir=out.parent))
    try:
        head = export_folder(read, folder / "export", files)
        pack(folder / "export", out)
    finally:
        shutil.rmtree(folder)
    return head.size


def rule_bytes(store: Store) -> dict[str, bytes]:
    """SHA-256 -> bytes of every rule set kept here: its listing, whose hash is the set's digest, and each file in it."""
    from daemon.report import queries
    from daemon.rules.digest import listing
    from daemon.store import rulesets

    found: dict[str, bytes] = {}
    with store.read() as tx:
        for digest in queries.rule_set_digests(tx):
            files = rulesets.files_of(tx, digest)
            found |= {sha256(raw).hexdigest(): raw for raw in (listing(files), *files.values())}
    return found
