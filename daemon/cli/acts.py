"""`duenotice rules verify|history|stop|start`: what people decided about rule sets, and one person's stop."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.cli.place import screen_of

if TYPE_CHECKING:
    from daemon.audit.record import Record

KINDS = {
    "rules.proposed": ("提出", "proposed"),
    "rules.signed": ("批准", "approved"),
    "rules.activated": ("生效", "activated"),
    "rules.stopped": ("停用规则", "stopped a rule"),
    "rules.started": ("重新启用规则", "started a rule again"),
    "rules.signers": ("签署人名单", "list of signers"),
}
MODES = {
    "signed": ("双人签署", "signed by two"),
    "emergency": ("紧急启用：一人签署", "EMERGENCY START: signed by one"),
    "unsigned": ("未签署（开发模式）", "unsigned (development mode)"),
}
STATES = {
    "approved": ("已由两人签署，下次重载生效", "approved by two: active with the next reload"),
    "active": ("已生效", "active"),
    "waiting": ("已由两人签署，未到生效日", "approved by two, for a later day"),
    "emergency": ("一人紧急签署，下次重载生效", "an emergency start by one: active with the next reload"),
    "unsigned": ("签署不足", "not approved"),
}


def add(commands: Any) -> None:
    """The parsers of `verify`, `history`, `stop` and `start`."""
    verify = commands.add_parser("verify", help="what the signatures of the folder's rule set are worth today")
    place.folder_argument(verify)
    place.listing(verify)
    verify.set_defaults(go=go_verify)
    history = commands.add_parser("history", help="who proposed, signed, activated and stopped what, and what they saw")
    place.listing(history)
    history.set_defaults(go=go_history)
    stop = commands.add_parser("stop", help="stop a rule at once; one person is enough")
    stop.add_argument("rule", metavar="RULE")
    place.by_name(stop)
    stop.set_defaults(go=go_stop)
    start = commands.add_parser(
        "start", help="start a stopped rule again, in development mode only; else two people sign"
    )
    start.add_argument("rule", metavar="RULE")
    place.by_name(start)
    start.set_defaults(go=go_start)


def go_verify(args: argparse.Namespace) -> int:
    """By the store's list of signers and what was approved there last; 1 where the set may not be activated."""
    from daemon.activation import baseline_of, pinned
    from daemon.rules.approval_files import read_approvals
    from daemon.rules.approvals import judge
    from daemon.rules.load import load, read_folder

    settings = place.settings_of(args)
    screen = screen_of(args)
    root = args.dir or settings.path(settings.rules.folder)
    ruleset = load(read_folder(root)).required()
    files = read_approvals(root, ruleset.digest)
    with place.store_of(settings) as store, store.read() as tx:
        baseline = baseline_of(tx)
        found = judge(ruleset, files.signed, pinned(tx), baseline, place.today())
    state = "active" if found.state == "unsigned" and baseline.digest == ruleset.digest else found.state
    rows = [
        {
            "principal": one.statement.principal, "role": one.statement.role, "key": one.key.fingerprint,
            "version": one.statement.version, "file": one.file.name, "statement": one.digest,
        }
        for one in found.approvals
    ]  # fmt: skip
    reasons = [*files.remarks, *found.reasons]
    if args.json:
        screen.json({"digest": ruleset.digest, "state": state, "approvals": rows, "reasons": reasons})
    else:
        screen.line(f"{ruleset.digest}: {screen.label(STATES, state)}")
        if rows:
            screen.table(list(rows[0]), [list(row.values()) for row in rows], 2)
        for reason in reasons:
            screen.line(reason, 2)
    return 1 if state == "unsigned" else 0


def go_history(args: argparse.Namespace) -> int:
    """Every record of rule sets, oldest first; 1 where there is none."""
    from daemon.store import trail

    settings = place.settings_of(args)
    screen = screen_of(args)
    numbered: list[tuple[int, Record]] = []
    with place.store_of(settings) as store, store.read() as tx:
        for kind in KINDS:
            after = 0
            while page := trail.of_kind(tx, kind, after=after):
                numbered += page
                after = page[-1][0]
    records = [record for _, record in sorted(numbered, key=lambda one: one[0])]
    if args.json:
        screen.json(
            [
                {"at": r.t, "id": r.id, "kind": r.kind, "actor": r.actor, "rule": r.rule, "cause": r.cause, **r.data}
                for r in records
            ]
        )
    else:
        heads = (
            ("时间", "事项", "何人", "版本", "对象", "说明")
            if screen.lang == "zh"
            else ("at", "what", "who", "version", "of", "details")
        )
        rows = [
            (r.t, screen.label(KINDS, r.kind), r.actor, r.data.get("version"), _about(r), _details(screen, r))
            for r in records
        ]
        screen.table(heads, rows)
    return 0 if records else 1


def _about(record: Record) -> str:
    if record.rule:
        return record.rule
    return str(record.data.get("digest") or record.data.get("sha256") or "")[:16]


def _details(screen: Any, record: Record) -> str:
    """How a set became active, the reports that were seen, the reason given."""
    data = record.data
    found = [screen.label(MODES, data["mode"])] if "mode" in data else []
    if data.get("principals"):
        found.append(", ".join(data["principals"]))
    for name, report in sorted(data.get("reports", {}).items()):
        figures = " ".join(f"{key}={value}" for key, value in sorted(report["headline"].items()))
        found.append(f"{name} {report['digest'][:12]} {figures}".rstrip())
    found += [f"{key} {data[key]}" for key in ("effective_on", "expires", "until") if key in data]
    if data.get("accepted"):
        found.append(f"accepted {', '.join(data['accepted'])}")
    return "; ".join([*found, *([data["reason"]] if data.get("reason") else [])])


def go_stop(args: argparse.Namespace) -> int:
    """Write the stop; a running daemon obeys it with its next pass. Raises StoreConflict where it is stopped already."""
    from daemon.cli import Usage
    from daemon.store import acts

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        digest = place.active_digest(store)
        known = place.worlds(store)(digest).ruleset.rules if digest else {}
        if args.rule not in known:
            raise Usage(
                f"rules stop: found the rule {args.rule!r}, expected one of {', '.join(sorted(known)) or 'none'}"
            )
        with store.write() as tx:
            record = acts.stop(tx, args.rule, by=args.by, reason=args.reason, now=place.now(), rule_set=digest)
    screen.line(
        screen.say(
            f"已停用 {args.rule}：不再产生通知，尚未发出的随下一轮取消；重新启用须两人签署。记录 {record}",
            f"{args.rule} is stopped: no more notices, what has not left is cancelled with the next pass; "
            f"two people must sign to start it again. Record {record}",
        )
    )
    return 0


def go_start(args: argparse.Namespace) -> int:
    """In development mode alone: elsewhere starting needs two. Raises StoreConflict where the rule is not stopped."""
    from daemon.cli import Usage
    from daemon.store import acts, rulesets

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        if settings.rules.unsigned != "allow" or rulesets.ever_signed(tx):
            raise Usage("rules start: found a store of signed sets, expected two signatures: `rules sign --start RULE`")
        record = acts.start(tx, args.rule, actor=f"person:{args.by}", now=place.now(), reason=args.reason)
    screen.line(screen.say(f"已重新启用 {args.rule}；记录 {record}", f"{args.rule} runs again; record {record}"))
    return 0
