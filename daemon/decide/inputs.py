"""What of a fact is sealed with its notice: enough to render it, to ask again in part, and to replay the decision.

Canonical JSON, UTF-8, sealed under the client's data key::

    {"v":1,"subject","client","business_date","basis","started","set","rule","whole",
     "values":{name:value},"rows":[{name:value}],"members":[{"part","values"}],"as_of":{part:iso},
     "gates":{...},"bucket","reason","level","marks":[..]}

Values are as in model/values.py; types come from the kind of the named rule set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from daemon.decide.joining import Joined
from daemon.decide.reading import Known
from daemon.model.decisions import Decision
from daemon.model.facts import Fact
from daemon.model.kinds import Absence, FactKind, Type, Value
from daemon.model.values import canonical, from_json, values_json
from daemon.rules.folding import Values
from daemon.rules.gates import GateInputs


@dataclass(frozen=True, slots=True)
class Inputs:
    """Sealed inputs, opened."""

    fact: Fact
    members: tuple[Joined, ...]
    gates: GateInputs
    rule_set: str
    rule: str
    started: datetime
    bucket: str
    reason: str
    level: str
    marks: tuple[str, ...]

    @property
    def known(self) -> Known:
        """What asking again needs."""
        return Known(self.fact.subject, self.members, self.fact.business_date)


def pack(
    fact: Fact,
    members: Sequence[Joined],
    gates: GateInputs,
    decision: Decision,
    *,
    rule_set: str,
    rule: str,
    started: datetime,
) -> bytes:
    """The plain bytes to seal."""
    return canonical(
        {
            "v": 1,
            "key": list(fact.key),
            "subject": fact.subject,
            "client": fact.client,
            "business_date": fact.business_date.isoformat(),
            "basis": fact.basis,
            "started": started.isoformat(),
            "set": rule_set,
            "rule": rule,
            "whole": fact.whole,
            "values": values_json(fact.values),
            "rows": [values_json(row) for row in fact.items],
            "members": [{"part": m.part, "values": values_json(m.values)} for m in members],
            "as_of": {part: at.isoformat() for part, at in fact.as_of.items()},
            "gates": gates.to_json(),
            "bucket": decision.bucket.value,
            "reason": decision.reason,
            "level": decision.level,
            "marks": list(decision.marks),
        }
    ).encode()


def unpack(raw: bytes, kind: FactKind) -> Inputs:
    """The inverse of `pack`, with the types of the kind. Raises ValueError or KeyError for bytes that are not of this form."""
    found = orjson.loads(raw)
    as_of = {part: datetime.fromisoformat(at) for part, at in found["as_of"].items()}
    fact = Fact(
        tuple(found["key"]),
        found["subject"],
        found["client"],
        date.fromisoformat(found["business_date"]),
        found["basis"],
        typed(found["values"], kind),
        tuple(typed(row, kind) for row in found["rows"]),
        as_of,
        len(found["members"]),
        found["whole"],
    )
    members = tuple(Joined(m["part"], typed(m["values"], kind)) for m in found["members"])
    return Inputs(
        fact,
        members,
        GateInputs.from_json(found["gates"]),
        found["set"],
        found["rule"],
        datetime.fromisoformat(found["started"]),
        found["bucket"],
        found["reason"],
        found["level"],
        tuple(found["marks"]),
    )


def typed(values: Mapping[str, Any], kind: FactKind) -> Values:
    """Values by the types of the kind's fields; a name that the kind does not know is text."""
    return {name: _value(name, found, kind) for name, found in values.items()}


def _value(name: str, found: Any, kind: FactKind) -> Value:
    if isinstance(found, dict):
        return Absence(found["absent"])
    field = kind.fields.get(name)
    return from_json(found, field.type if field else Type.TEXT)
