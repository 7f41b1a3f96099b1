"""An evidence for machines: canonical in order, values exact, addresses and words in clear."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from daemon.cli.explain_json import line_json, notice_json
from daemon.cli.screen import at, jsonable
from daemon.report.evidence import Evidence, Rules

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_CONTACT = ("role", "channel", "origin", "record")
_TASK = ("id", "key", "reason", "taken_by", "closed_by", "result", "record")


def document(evidence: Evidence) -> bytes:
    """UTF-8 JSON of everything in the document."""
    found = {
        "client": evidence.client,
        "episodes": [_episode(row) for row in evidence.episodes],
        "notices": [
            notice_json(one.story) | {"lines": [line_json(line) for line in one.lines], "said": one.said}
            for one in evidence.told
        ],
        "contacts": [
            {name: row[name] for name in _CONTACT}
            | {"address": evidence.addresses[row["id"]], "since": at(row["since"]), "until": at(row["until"])}
            for row in evidence.contacts
        ],
        "receipts": {str(id): _raw(raw) for id, raw in evidence.receipts.items()},
        "uplinks": [
            {"kind": row["kind"], "message": row["message"], "at": at(row["received_at"]), "record": row["record"]}
            | {"raw": _raw(evidence.answers[row["id"]])}
            for row in evidence.uplinks
        ],
        "tasks": [
            {name: row[name] for name in _TASK} | {"opened": at(row["opened_at"]), "closed": at(row["closed_at"])}
            for row in evidence.tasks
        ],
        "rules": [_rules(one) for one in evidence.rules],
        "polls": [
            {"feed": row["feed"], "due": at(row["due"]), "state": row["state"], "reason": row["reason"]}
            for row in evidence.polls
        ],
        "pages": [
            {"at": at(row["at"]), "severity": row["severity"], "sentence": row["sentence"]} for row in evidence.pages
        ],
        "system": [leaf.said for leaf in evidence.system],
        "records": [{"index": leaf.index, "record": leaf.said} for leaf in evidence.records],
        "unopened": [{"record": record, "path": path} for record, path in evidence.unopened],
    }
    return json.dumps(found, ensure_ascii=False, indent=1, default=jsonable).encode() + b"\n"


def _episode(row: RowMapping) -> dict[str, Any]:
    names = {name: row[name] for name in ("id", "rule", "basis", "level", "opened_on", "ended_why", "record")}
    return names | {"opened": at(row["opened_at"]), "ended": at(row["ended_at"])}


def _rules(one: Rules) -> dict[str, Any]:
    act = one.activation
    active = (
        None if act is None else {n: act[n] for n in ("mode", "version", "actor", "record")} | {"at": at(act["at"])}
    )
    names = ("principal", "role", "key", "sha256", "record")
    signed = [{name: row[name] for name in names} | {"at": at(row["at"])} for row in one.approvals]
    return {"digest": one.ruleset.digest, "active": active, "approvals": signed}


def _raw(raw: bytes) -> dict[str, str]:
    """Bytes as text where they are UTF-8, else base64."""
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
