"""Which rule set is active: the folder's, if it is good and rightly signed; else the last one that was, loudly; else none.

Everything is judged on the bytes that were read once, at the moment `now` and the day it is in Asia/Shanghai. What is
active stays active whatever becomes of its signatures afterwards: an approval's last day and a signer's leaving bound
what may be *activated*. Development mode takes an unsigned set, until a signed one has been active in the store.

An emergency start is one approver's word. It ends with the session after the day it begins on (15:00), by the calendar of
the set that two people last approved, which is also what it falls back on; another one must wait until two people have
approved a set. It lets rules run that were stopped, no longer than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from daemon import alarms
from daemon.clock import SHANGHAI
from daemon.errors import CalendarEnd, ConfigError, Finding, StoreConflict
from daemon.log import logger
from daemon.rules import approval_files
from daemon.rules.approval_files import ListFile
from daemon.rules.approvals import Approval, Baseline, Judgement, judge
from daemon.rules.load import Loaded
from daemon.rules.schema import RuleSet
from daemon.rules.signers import NotApproved, SignerList, accept_next, read_signers
from daemon.store import acts, pages, rulesets
from daemon.store.db import Store, Tx
from daemon.store.rulesets import EMERGENCY, SIGNED, UNSIGNED, Act, Active
from daemon.world import World
from daemon.yamlfile import FindingsError

ACTOR = "sys:duenotice"
CLOSE = time(15, 0)
"""End of a session on the exchanges, Asia/Shanghai."""
DEVELOPMENT = "development mode: unsigned sets are allowed"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Where rule sets and their approvals come from. `load` reads the folder anew; `unsigned`: whether development mode
    is on; `approvals` reads what lies beside the folder's files for a digest."""

    load: Callable[[], Loaded]
    approvals: approval_files.Reader = lambda digest: approval_files.NONE
    unsigned: bool = True


def day_of(now: datetime) -> date:
    """The day in Asia/Shanghai."""
    return now.astimezone(SHANGHAI).date()


def start_of(day: date) -> datetime:
    """The first moment of a day in Asia/Shanghai."""
    return datetime.combine(day, time(0), SHANGHAI).astimezone(UTC)


def baseline_of(tx: Tx) -> Baseline:
    """What a new approval must follow in this store."""
    last = rulesets.approved(tx)
    if last is None:
        return Baseline()
    return Baseline(last.digest, last.version, rulesets.emergency_since(tx, last.version))


def pinned(tx: Tx) -> SignerList | None:
    """The list of signers that holds in this store. Raises FindingsError where its bytes are none."""
    row = acts.newest_list(tx)
    return None if row is None else read_signers(bytes(row["bytes"]), f"signers {row['version']}")


def advance(tx: Tx, lists: Sequence[ListFile], now: datetime) -> tuple[SignerList | None, list[str]]:
    """Take over the lists that follow the pinned one, each signed by administrators of the one before: the newest list,
    and what is wrong with those that do not count. The pinned bytes hold, whatever lies in the folder now."""
    current, remarks = pinned(tx), []
    for file in lists if current is not None else ():
        assert current is not None
        try:
            if file.version <= current.version:
                if file.version == current.version and file.raw != current.raw:
                    raise NotApproved(f"other bytes than version {file.version} as it was pinned here")
                continue
            found = read_signers(file.raw, file.name)
            if found.version != file.version:
                raise NotApproved(f"version {found.version}, expected {file.version} as its name says")
            by = accept_next(current, found, file.signatures, day_of(now))
        except (NotApproved, FindingsError) as wrong:
            remarks.append(f"{file.name}: {wrong}")
            continue
        acts.keep_list(tx, found.version, found.digest, found.raw, by=by, actor=ACTOR, now=now)
        logger.warning("a new list of signers holds", action="rules", version=found.version, by=", ".join(by))
        current = found
    return current, remarks


class Activation:
    """Decides for one process which set is active. `worlds` compiles a kept set by its digest."""

    def __init__(self, store: Store, book: Rulebook, worlds: Callable[[str], World]) -> None:
        self.store, self.book, self.worlds = store, book, worlds
        self.again: datetime | None = None
        """When to look again without being asked: a set's first day, the end of an emergency start."""

    def take(self, now: datetime) -> RuleSet:
        """Read the folder, judge it, and say what is active from now on. Raises ConfigError where there is nothing."""
        self.again = None
        loaded = self._load()
        found = loaded.ruleset
        files = self.book.approvals(found.digest if found else "")
        if found is not None and not self._compiles(found, now):
            finding = Finding(
                "rules", 0, 0, "rule set", "one that does not compile", "see the journal: an error of ours"
            )
            loaded, found = Loaded(None, (finding,)), None
        with self.store.write() as tx:
            signers, remarks = advance(tx, files.lists, now)
            remarks = [*files.remarks, *remarks]
            if found is not None:
                verdict = judge(found, files.signed, signers, baseline_of(tx), day_of(now))
                self._keep_approvals(tx, verdict.approvals, now)
                digest = self._activate(tx, found, verdict, now)
                remarks += verdict.reasons
            else:
                digest, verdict = None, None
                for finding in loaded.findings:
                    logger.error("the rule folder has a mistake", action="rules", finding=str(finding))
            for remark in remarks:
                logger.warning("a signature counts for nothing", action="rules", why=remark)
            if digest is None:
                digest = self._stay(tx, loaded, verdict, now)
            else:
                pages.acknowledge(tx, "rules", by=ACTOR, now=now)
            active = rulesets.active(tx)
        self._look_again(active, verdict)
        return self.worlds(digest).ruleset

    def _compiles(self, found: RuleSet, now: datetime) -> bool:
        """Keep the set and compile it: one that breaks on an error of ours must not become active, nor end the daemon."""
        with self.store.write() as tx:
            rulesets.keep(tx, found.digest, found.files, now=now)
        try:
            self.worlds(found.digest)
        except Exception:
            logger.opt(exception=True).error("a rule set does not compile", action="rules", digest=found.digest)
            return False
        return True

    def _load(self) -> Loaded:
        """The folder; one that cannot be read at all is a finding like any other mistake."""
        try:
            return self.book.load()
        except (ConfigError, OSError) as wrong:
            findings = getattr(wrong, "findings", ()) or (
                Finding("rules", 0, 0, "folder", str(wrong), "a folder that can be read"),
            )
            return Loaded(None, tuple(findings))
        except Exception as broken:  # an error of ours must not end the daemon over an edit
            logger.opt(exception=True).error("the rule folder cannot be judged", action="rules")
            finding = Finding("rules", 0, 0, "folder", type(broken).__name__, "see the journal: an error of ours")
            return Loaded(None, (finding,))

    def _keep_approvals(self, tx: Tx, approvals: Sequence[Approval], now: datetime) -> None:
        for one in approvals:
            said = one.statement
            data = {
                "version": said.version, "effective_on": said.effective.isoformat(), "expires": said.expires.isoformat(),
                "purpose": said.purpose, "accepted": list(said.accepted), "starts": list(said.starts),
                "reason": said.reason, "reports": {name: found.to_json() for name, found in
                                                   (("test", said.test_report), ("diff", said.diff_report)) if found},
            }  # fmt: skip
            if said.previous:
                data["previous"] = said.previous
            acts.keep_approval(
                tx, said.set, one.digest, one.key.fingerprint, principal=said.principal, role=said.role,
                statement=one.file.raw, signature=one.file.armored, data=data, now=now,
            )  # fmt: skip

    def _activate(self, tx: Tx, found: RuleSet, verdict: Judgement, now: datetime) -> str | None:
        """Activate the folder's set where that may be: its digest, else None. What is active already needs nothing."""
        said = verdict.statement
        active = self._standing(tx, now)
        if verdict.state == "approved" and said is not None:
            act = Act(SIGNED, said.version, None, tuple(one.person for one in verdict.approvals))
            record = rulesets.activate(tx, found.digest, actor=ACTOR, now=now, reason=said.reason, act=act, again=True)
            assert record is not None
            acts.end_pauses(tx, actor=ACTOR, now=now, cause=record)
            self._start_again(tx, said.starts, now, None)
            pages.acknowledge(tx, "emergency", by=ACTOR, now=now)
            logger.info("a signed rule set is active", action="rules", digest=found.digest, version=said.version)
            return found.digest
        if verdict.state == "emergency" and said is not None and (until := self._emergency_end(tx, now)) is not None:
            act = Act(EMERGENCY, said.version, until, (verdict.approvals[0].person,))
            rulesets.activate(tx, found.digest, actor=ACTOR, now=now, reason=said.reason, act=act)
            self._start_again(tx, said.starts, now, until)
            text = f"emergency start of rule set {found.digest[:12]} on the word of {said.principal} alone, until"
            sentence = f"{text} {until.astimezone(SHANGHAI):%Y-%m-%d %H:%M}: {said.reason}"
            pages.acknowledge(tx, "emergency", by=ACTOR, now=now)
            pages.page(tx, "emergency", "urgent", sentence, now=now)
            return found.digest
        if active is not None and active.digest == found.digest:
            return found.digest
        if self.book.unsigned and not rulesets.ever_signed(tx):
            rulesets.activate(tx, found.digest, actor=ACTOR, now=now, reason=DEVELOPMENT)
            logger.warning("an unsigned rule set is active: development mode", action="rules", digest=found.digest)
            return found.digest
        return None

    def _emergency_end(self, tx: Tx, now: datetime) -> datetime | None:
        """The close of the session after today, by the calendar of what two people last approved; None past its end."""
        last = rulesets.approved(tx)
        if last is None:
            return None
        try:
            session = self.worlds(last.digest).ruleset.calendar.add(day_of(now), 1)
        except CalendarEnd:
            return None
        return datetime.combine(session, CLOSE, SHANGHAI).astimezone(UTC)

    def _start_again(self, tx: Tx, rules: Sequence[str], now: datetime, until: datetime | None) -> None:
        active = rulesets.active(tx)
        cause = None if active is None else active.record
        for rule in rules:
            try:
                acts.start(tx, rule, actor=ACTOR, now=now, reason="signed", cause=cause, until=until)
            except StoreConflict as nothing:
                logger.warning("a rule that was to start again was not stopped", action="rules", why=str(nothing))

    def _standing(self, tx: Tx, now: datetime) -> Active | None:
        """What is active and may stay so: an emergency start that is over gives way to what two people last approved, an
        unsigned set counts in development mode only."""
        active = rulesets.active(tx)
        if active is None or (active.mode == UNSIGNED and not self.book.unsigned):
            return None
        if active.until is None or active.until > now:
            return active
        last = rulesets.approved(tx)
        assert last is not None  # no emergency start without
        act = Act(SIGNED, last.version, None, (), last.record)
        rulesets.activate(tx, last.digest, actor=ACTOR, now=now, reason="the emergency start is over", act=act)
        sentence = f"the emergency start of rule set {active.digest[:12]} is over: {last.digest[:12]} is active again"
        pages.acknowledge(tx, "emergency", by=ACTOR, now=now)
        pages.page(tx, "emergency", "urgent", sentence, now=now)
        return rulesets.active(tx)

    def _stay(self, tx: Tx, loaded: Loaded, verdict: Judgement | None, now: datetime) -> str:
        """Keep what is active, and tell a person why. Raises ConfigError where nothing is."""
        standing = self._standing(tx, now)
        if verdict is None:
            what, findings = f"the rule folder is unusable ({len(loaded.findings)} mistakes)", loaded.findings
        else:
            what, findings = _why(loaded, verdict), ()
        if standing is None:
            raise ConfigError(f"{what}; no rule set was ever active that may stay so", findings)
        sentence = f"{what}; rule set {standing.digest[:12]} stays active"
        waiting = verdict is not None and verdict.state == "waiting"
        if all(row["sentence"] != sentence for row in pages.pages_of(tx)):
            pages.acknowledge(tx, "rules", by=ACTOR, now=now)
            pages.page(tx, "rules", "warning" if waiting else "urgent", sentence, now=now)
            alarms.call(sentence, severity="warning" if waiting else "urgent", key="rules")
        return standing.digest

    def _look_again(self, active: Active | None, verdict: Judgement | None) -> None:
        moments = [] if active is None or active.until is None else [active.until]
        if verdict is not None and verdict.state == "waiting" and verdict.statement is not None:
            moments.append(start_of(verdict.statement.effective))
        self.again = min(moments, default=None)


def _why(loaded: Loaded, verdict: Judgement) -> str:
    """Why the folder's good set is not active."""
    assert loaded.ruleset is not None
    name = f"rule set {loaded.ruleset.digest[:12]} of the folder"
    if verdict.state == "waiting" and verdict.statement is not None:
        return f"{name} is signed for {verdict.statement.effective}"
    if verdict.state == "emergency":
        return f"{name}: the calendar ends before the next session, an emergency start would have no end"
    return f"{name} is not approved: {verdict.reasons[-1] if verdict.reasons else 'no signature'}"
