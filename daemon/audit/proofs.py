"""Records of a log with what proves that they are in it, for someone who has no more of it than these (RFC 6962, 2.1.1).

    {"checkpoint": the signed note, "records": [{"index": n, "leaf": base64, "proof": [base64, …]}, …]}

The proof is the audit path of the leaf in the tree of the checkpoint's size. Whose key signed it must come from elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from daemon.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse
from daemon.audit.record import parse as parse_record
from daemon.audit.tree import WIDTH, Read, inclusion_proof, leaf_hash, read_bundle, verify_inclusion


def prove(read: Read, indexes: Iterable[int]) -> dict[str, Any]:
    """The records of these indexes with their proofs, by index. Raises ValueError for one that the checkpoint does not cover."""
    note = read("checkpoint")
    head = parse(note).checkpoint
    found = []
    for index in sorted(set(indexes)):
        if not 0 <= index < head.size:
            raise ValueError(f"record {index}: the checkpoint covers {head.size}")
        number, at = divmod(index, WIDTH)
        leaf = read_bundle(read, number, min(WIDTH, head.size - number * WIDTH))[at]
        path = inclusion_proof(read, index, head.size)
        found.append({"index": index, "leaf": _text(leaf), "proof": [_text(hash) for hash in path]})
    return {"checkpoint": note.decode(), "records": found}


def check(raw: bytes, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, dict[int, dict[str, Any]]]:
    """The signed head and, by index, what the records say. Raises ValueError with the first that is not proved."""
    try:
        given = orjson.loads(raw)
        note, listed = given["checkpoint"].encode(), list(given["records"])
        head = open_checkpoint(note, keys)
        records: dict[int, dict[str, Any]] = {}
        for one in listed:
            index, leaf = one["index"], base64.b64decode(one["leaf"], validate=True)
            path = [base64.b64decode(hash, validate=True) for hash in one["proof"]]
            if not verify_inclusion(index, head.size, leaf_hash(leaf), path, head.root):
                raise ValueError(f"record {index}: its proof does not lead to the signed root")
            records[index] = parse_record(leaf)
    except (KeyError, TypeError, AttributeError, UnicodeError) as reason:
        raise ValueError(f"proofs cannot be read ({type(reason).__name__})") from None
    return head, records


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
