"""`duenotice rules sign|key|signers`: what two people do before a rule set may be active.

A passphrase is asked for on the terminal or read from a file, never taken from the command line. Without `--key` the
statement is written and the line printed that signs it with `ssh-keygen`, which is how a hardware token signs.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.cli.findings import said as told
from daemon.cli.place import screen_of
from daemon.cli.testing import minimum_of
from daemon.errors import ConfigError, Finding

if TYPE_CHECKING:
    from daemon.cli.screen import Screen
    from daemon.rules.approvals import Baseline, Statement
    from daemon.rules.changes import Change
    from daemon.rules.schema import RuleSet
    from daemon.rules.signers import SignerList
    from daemon.signing import Wish


def add(commands: Any) -> None:
    """The parsers of `sign`, `key` and `signers`."""
    _sign(commands)
    key = commands.add_parser("key", help="make a signer's key: FILE under a passphrase, FILE.pub for the list")
    key.add_argument("file", type=Path, metavar="FILE")
    _passphrase(key)
    key.set_defaults(go=go_key)
    signers = commands.add_parser("signers", help="who may sign").add_subparsers(metavar="COMMAND", required=True)
    _signers(signers)


def _sign(commands: Any) -> None:
    sign = commands.add_parser("sign", help="sign the rule set of a folder, as its author or its approver")
    place.folder_argument(sign)
    sign.add_argument("--as", dest="principal", type=place.name, required=True, metavar="NAME", help="who signs")
    sign.add_argument("--role", choices=("author", "approver"), required=True)
    sign.add_argument(
        "--key", type=Path, metavar="FILE", help="the signer's key; without, ssh-keygen signs the statement"
    )
    _passphrase(sign)
    sign.add_argument(
        "--test-report",
        type=Path,
        required=True,
        metavar="FILE",
        help="what `rules test --report` has written of this set",
    )
    text = "`rules diff --json` from the active set to this one; needed unless it is the first"
    sign.add_argument("--diff-report", type=Path, metavar="FILE", help=text)
    text = "first day on which it may be active; default: the author's, else today"
    sign.add_argument("--effective", type=place.day, metavar="DATE", help=text)
    text = "last day on which it may be activated; default: the author's"
    sign.add_argument("--expires", type=place.day, metavar="DATE", help=text)
    text = "take over a reference of confidence C or D, by its id"
    sign.add_argument("--accept", nargs="+", default=[], metavar="REF", help=text)
    sign.add_argument("--start", nargs="+", default=[], metavar="RULE", help="start a rule again that was stopped")
    text = "one signature of an approver, until the end of the next session"
    sign.add_argument("--emergency", action="store_true", help=text)
    sign.add_argument("--reason", type=place.reason, metavar="TEXT", help="why; needed for an emergency")
    text = "number of the set; default: the author's, else the next one of the store"
    sign.add_argument("--version", type=int, metavar="N", help=text)
    text = "where there is no store: what two people last approved, 'none' for a first set; needs --version"
    sign.add_argument("--previous", metavar="DIGEST", help=text)
    sign.set_defaults(go=go_sign)


def _passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="its first line; default: ask")


def _signers(commands: Any) -> None:
    init = commands.add_parser("init", help="trust rules/approvals/signers/1.yaml in this store, once and for all")
    place.by_name(init)
    init.set_defaults(go=go_init)
    show = commands.add_parser("show", help="the list that holds in this store")
    show.add_argument("--allowed-signers", action="store_true", help="as `ssh-keygen -Y verify -f` reads it")
    place.listing(show)
    show.set_defaults(go=go_show)
    sign = commands.add_parser("sign", help="sign the next list, as a security administrator")
    sign.add_argument("file", type=Path, metavar="FILE", help="rules/approvals/signers/N.yaml")
    sign.add_argument("--as", dest="principal", type=place.name, required=True, metavar="NAME", help="who signs")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE")
    _passphrase(sign)
    sign.set_defaults(go=go_sign_list)


def _secret(args: argparse.Namespace, *, twice: bool = False) -> str:
    """The passphrase. Raises ConfigError where there is no terminal to ask on."""
    if args.passphrase_file is not None:
        from daemon.settings import read_secret

        return read_secret(args.passphrase_file)
    if not sys.stdin.isatty():
        raise ConfigError("found no terminal to ask for the passphrase on, expected one, or --passphrase-file FILE")
    found = getpass.getpass("passphrase: ")
    if twice and getpass.getpass("again: ") != found:
        raise ConfigError("the two passphrases differ")
    return found


def go_key(args: argparse.Namespace) -> int:
    """Make a key. Raises KeyUnusable."""
    from daemon.security import signerkey

    made = signerkey.make(args.file, _secret(args, twice=True))
    screen = screen_of(args)
    screen.line(screen.say(f"已写入 {args.file}（权限 0600）", f"{args.file} (mode 0600)"))
    screen.line(f"{args.file}.pub: {made.public.line}")
    screen.line(made.public.fingerprint)
    return 0


@dataclass(frozen=True)
class Ground:
    """What a signature builds on: what was approved last, its files where a store has them, and who may sign."""

    baseline: Baseline
    before: dict[str, bytes] | None
    signers: SignerList | None
    root: Path


def _ground(args: argparse.Namespace) -> Ground:
    """From the store, or from the options where there is none. Raises Usage, ConfigError."""
    from daemon.activation import baseline_of, pinned
    from daemon.cli import Usage
    from daemon.rules.approvals import Baseline
    from daemon.store import rulesets

    if args.previous is not None:
        if args.version is None or args.dir is None:
            raise Usage("rules sign --previous: expected DIR and --version with it")
        digest = "" if args.previous == "none" else args.previous
        return Ground(Baseline(digest, 0), None if digest else {}, None, args.dir)
    settings = place.settings_of(args)
    root = args.dir or settings.path(settings.rules.folder)
    with place.store_of(settings) as store, store.read() as tx:
        baseline = baseline_of(tx)
        before = rulesets.files_of(tx, baseline.digest) if baseline.digest else {}
        return Ground(baseline, before, pinned(tx), root)


def go_sign(args: argparse.Namespace) -> int:
    """Refuse with every reason and exit 1, or write statement and signature."""
    from daemon import signing
    from daemon.rules.load import load, read_folder
    from daemon.rules.signers import NotApproved
    from daemon.security import signerkey

    ground = _ground(args)
    screen = screen_of(args)
    ruleset = load(read_folder(ground.root)).required()
    day = place.today()
    author = _author(ground, ruleset, day) if args.role == "approver" and not args.emergency else None
    wish = _wish(args, author, day)
    version = args.version or (author.version if author else ground.baseline.version + 1)
    findings = signing.obstacles(ruleset, wish, version, ground.baseline, day)
    test, wrong = signing.test_report_of(
        signing.read_report(args.test_report),
        ruleset,
        _change(ground, ruleset, wish),
        minimum_of(args),
        _progress(screen),
    )
    findings += wrong
    diff = None
    if args.diff_report is not None:
        diff, wrong = signing.diff_report_of(signing.read_report(args.diff_report), ruleset, ground.baseline)
        findings += wrong
    elif ground.baseline.digest and not wish.emergency and ground.baseline.digest != ruleset.digest:
        found = "nothing, and a set that is active"
        findings.append(
            Finding("rules sign", 0, 0, "--diff-report", found, "`duenotice rules diff --json` of the change")
        )
    said = signing.statement_of(ruleset, wish, ground.baseline, version, test, diff, day)
    if author is not None and author.core() != said.core():
        findings.append(_unlike(author, said))
    key = None if args.key is None or findings else signerkey.load(args.key, _secret(args))
    if ground.signers is not None:
        try:
            signing.may_sign(ground.signers, wish, key, day)
        except NotApproved as wrong_one:
            findings.append(Finding("rules sign", 0, 0, "--as, --key", str(wrong_one), "a signer of the list"))
    if findings:
        for finding in findings:
            screen.line(told(finding, screen.lang))
        return 1
    path = signing.write(ground.root, ruleset, said, key)
    _told(screen, said, path, signed=key is not None)
    return 0


def _change(ground: Ground, ruleset: RuleSet, wish: Wish) -> Change:
    """What the reports must cover: all of it where what was there before is not known, nothing in an emergency."""
    from daemon.rules.changes import Change, change_between

    return Change() if wish.emergency else change_between(ground.before or {}, ruleset.files)


def _progress(screen: Screen) -> Callable[[str, int, int], None]:
    return lambda rule, done, of: screen.progress(f"{rule} {done}/{of}")


def _author(ground: Ground, ruleset: RuleSet, day: date) -> Statement | None:
    """The newest statement for this set that an author of the list has signed (without a store: that names one). An approver
    says the same, or signs something else."""
    from daemon.rules.approval_files import read_approvals
    from daemon.rules.approvals import APPROVAL, read_approval, read_statement
    from daemon.rules.signers import AUTHOR, NotApproved

    found = []
    for file in read_approvals(ground.root, ruleset.digest).signed:
        try:
            known = ground.signers
            said = read_approval(file, known, day).statement if known else read_statement(file.raw)
        except NotApproved:
            continue
        if (said.role, said.purpose) == (AUTHOR, APPROVAL) and said.version > ground.baseline.version:
            found.append(said)
    return max(found, key=lambda one: one.version, default=None)


def _wish(args: argparse.Namespace, author: Statement | None, day: date) -> Wish:
    """What is to be said; what is not given, an approver says as the author did. Raises Usage."""
    from daemon.cli import Usage
    from daemon.signing import Wish

    effective = args.effective or (author.effective if author else day)
    expires = args.expires or (author.expires if author else day if args.emergency else None)
    if expires is None:
        raise Usage("rules sign: found no --expires, expected the last day on which the set may be activated")
    accepted = tuple(args.accept) or (author.accepted if author else ())
    starts = tuple(args.start) or (author.starts if author else ())
    reason = args.reason or (author.reason if author else "")
    return Wish(args.role, args.principal, effective, expires, accepted, starts, args.emergency, reason)


def _unlike(author: Statement, said: Statement) -> Finding:
    mine, theirs = said.to_json(), author.to_json()
    names = [name for name in mine if mine[name] != theirs[name] and name not in ("role", "principal", "signed_on")]
    return Finding(
        "rules sign", 0, 0, ", ".join(names), f"other than {author.principal} has signed", "the same in both"
    )


def _told(screen: Screen, said: Statement, path: Path, *, signed: bool) -> None:
    """What was signed, in figures, and what comes next."""
    from daemon.rules.approvals import NAMESPACE

    pairs: list[tuple[str, object]] = [
        (screen.say("规则集", "rule set"), said.set),
        (screen.say("版本", "version"), said.version),
        (screen.say("接替", "follows"), said.previous or screen.say("（第一套）", "(the first)")),
        (screen.say("生效日", "effective"), said.effective),
        (screen.say("签署有效至", "may be activated until"), said.expires),
        (screen.say("承担的依据", "references taken over"), ", ".join(said.accepted)),
        (screen.say("重新启用", "starts again"), ", ".join(said.starts)),
    ]
    for name, report in (
        (screen.say("测试报告", "test report"), said.test_report),
        (screen.say("差异报告", "difference"), said.diff_report),
    ):
        if report is not None:
            figures = ", ".join(f"{key} {value}" for key, value in report.headline.items())
            pairs.append((name, f"{report.digest[:16]}  {figures}"))
    screen.pairs([pair for pair in pairs if pair[1] != ""])
    if signed:
        screen.line(screen.say(f"已签署：{path}.sig", f"signed: {path}.sig"))
    else:
        screen.line(
            screen.say(f"待签署的声明：{path}；用 OpenSSH 签署：", f"the statement to sign: {path}; with OpenSSH:")
        )
        screen.line(f"ssh-keygen -Y sign -f KEY -n {NAMESPACE} {path}", 2)


def go_init(args: argparse.Namespace) -> int:
    """Pin the first list. Raises StoreConflict where one is pinned already."""
    from daemon.compose import open_store
    from daemon.rules.approval_files import FOLDER, SIGNERS, read_approvals
    from daemon.rules.signers import read_signers
    from daemon.store import acts

    settings = place.settings_of(args)
    screen = screen_of(args)
    lists = read_approvals(settings.path(settings.rules.folder), "").lists
    first = next((one for one in lists if one.version == 1), None)
    if first is None:
        raise ConfigError(f"{FOLDER}/{SIGNERS}/1.yaml: found none that can be read, expected the first list of signers")
    found = read_signers(first.raw, first.name)
    if found.version != 1:
        raise ConfigError(f"{first.name}: version {found.version}, expected 1")
    store = open_store(settings)
    try:
        with store.write() as tx:
            record = acts.keep_list(
                tx, 1, found.digest, found.raw, by=(), actor=f"person:{args.by}", now=place.now(), reason=args.reason
            )
    finally:
        store.close()
    _people(screen, found)
    screen.line(screen.say(f"此库从此只信任这份名单及由它签出的后续版本；记录 {record}",
                           f"this store trusts this list and what follows from it, nothing else; record {record}"))  # fmt: skip
    return 0


def go_show(args: argparse.Namespace) -> int:
    """The list that holds; 1 where none is pinned."""
    from daemon.activation import pinned
    from daemon.rules.approvals import NAMESPACE
    from daemon.rules.signers import allowed_signers

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        found = pinned(tx)
    if args.json:
        people = found.signers if found else ()
        keys = [[key.fingerprint for key in one.keys] for one in people]
        rows = [{"name": one.name, "keys": mine, "roles": one.roles, "from": one.since, "until": one.until}
                for one, mine in zip(people, keys, strict=True)]  # fmt: skip
        screen.json(
            {"version": found.version if found else None, "sha256": found.digest if found else None, "signers": rows}
        )
    elif found is None:
        screen.line(screen.say("此库还没有签署人名单", "no list of signers is pinned in this store"))
    elif args.allowed_signers:
        sys.stdout.write(allowed_signers(found, NAMESPACE))
    else:
        _people(screen, found)
    return 0 if found else 1


def _people(screen: Screen, found: SignerList) -> None:
    heads = ("姓名", "角色", "自", "至", "密钥") if screen.lang == "zh" else ("name", "roles", "from", "until", "keys")
    rows = [
        (one.name, ", ".join(one.roles), one.since, one.until, ", ".join(key.fingerprint for key in one.keys))
        for one in found.signers
    ]
    screen.line(
        screen.say(
            f"签署人名单第 {found.version} 版 {found.digest}", f"signers, version {found.version} {found.digest}"
        )
    )
    screen.table(heads, rows, 2)


def go_sign_list(args: argparse.Namespace) -> int:
    """Sign a list; that it counts, the daemon decides by the list before it."""
    from daemon.rules.signers import NAMESPACE, folded, read_signers
    from daemon.security import signerkey, sshsig

    raw = args.file.read_bytes()
    found = read_signers(raw, str(args.file))
    if args.file.name != f"{found.version}.yaml":
        raise ConfigError(f"{args.file}: version {found.version}, expected a file named {found.version}.yaml")
    path = args.file.with_name(f"{args.file.name}.{folded(args.principal)}.sig")
    path.write_bytes(sshsig.sign(signerkey.load(args.key, _secret(args)), NAMESPACE, raw))
    screen = screen_of(args)
    _people(screen, found)
    screen.line(screen.say(f"已签署：{path}", f"signed: {path}"))
    return 0
