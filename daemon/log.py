"""The operational log: one JSON object a line on stderr, for journald. Nothing personal, ever; not the audit trail.

    from daemon.log import logger
    logger.info("a poll ran", feed="margin", run=3)
    {"t":"2024-02-01T00:00:00.123456+00:00","level":"info","at":"daemon.cycle:98","say":"a poll ran","feed":"margin","run":3}

The sentence is constant, what varies is a field. `start` makes loguru (this module owns it) and the standard library's
logging write here. Three belts: a field whose name is that of a personal value is written as `[refused]` and its name added
to `refused`; text is scrubbed of mobile and identity numbers (`masking.scrub`); control, bidi and zero-width characters
are escaped, so a line stays one. Of an exception its type and places are written, its text only where it is one of ours.
A library's own message is written as its template, without the values.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from loguru import logger

from daemon.errors import DueNoticeError
from daemon.security.masking import escape_line, scrub

if TYPE_CHECKING:
    from loguru import Message, Record

__all__ = ["LEVELS", "PERSONAL", "REFUSED", "line_of", "logger", "start"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
REFUSED = "[refused]"
PERSONAL = frozenset({
    "account", "address", "addresses", "body", "card_text", "client_id", "client_key", "client_name",
    "contact", "email", "found", "fund_account", "id_no", "inputs", "key", "keys", "mobile", "msisdn", "name",
    "names", "operands", "password", "phone", "plain", "recipient", "secret", "stock_account", "text",
    "token", "value", "values",
})  # fmt: skip
"""Field names that are refused: each is, or easily becomes, a personal value or a secret. Numbers (`client=1041`) are not."""

MAX_TEXT = 2000


def start(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write to `stream` (stderr) from here on, this process only: no rotation, no queue. Raises ValueError for a level."""
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}, expected one of {', '.join(LEVELS)}")
    out = sys.stderr if stream is None else stream

    def sink(message: Message) -> None:
        out.write(line_of(message.record) + "\n")
        out.flush()

    logger.remove()
    logger.add(sink, level=level, format="{message}", backtrace=False, diagnose=False, catch=False)
    logging.basicConfig(handlers=[_Standard()], level=logging.WARNING, force=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of the program is logged inside: what it does there in a simulation is no operation of this installation."""
    logger.disable("daemon")
    try:
        yield
    finally:
        logger.enable("daemon")


def line_of(record: Record) -> str:
    """One log line, without its end."""
    found: dict[str, Any] = {
        "t": record["time"].astimezone(UTC).isoformat(timespec="microseconds"),
        "level": record["level"].name.lower(),
        "at": f"{record['name']}:{record['line']}",
        "say": _safe(record["message"]),
    }
    refused = sorted(name for name in record["extra"] if name.lower() in PERSONAL)
    for name, value in record["extra"].items():
        found[_safe(name)] = REFUSED if name in refused else _plain(value)
    if refused:
        found["refused"] = refused
    if record["exception"] is not None and record["exception"].value is not None:
        found["error"] = _error(record["exception"].value)
    return orjson.dumps(found, default=repr).decode()


def _plain(value: object) -> object:
    """What JSON can hold of a field; containers go through the same belts."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {_safe(str(k)): REFUSED if str(k).lower() in PERSONAL else _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, BaseException):
        return _error(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str | float | Decimal):
        return _safe(str(value))
    return type(value).__name__


def _safe(text: str) -> str:
    cut = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
    return escape_line(scrub(cut))


def _error(error: BaseException) -> dict[str, Any]:
    """Type and places of an exception and its causes. Another library's text may hold values, so it stays out."""
    frames = traceback.extract_tb(error.__traceback__)
    found: dict[str, Any] = {"type": type(error).__name__, "where": [f"{f.name}:{f.lineno}" for f in frames[-5:]]}
    if isinstance(error, DueNoticeError):
        found["say"] = _safe(str(error))
    if error.__cause__ is not None:
        found["cause"] = _error(error.__cause__)
    return found


class _Standard(logging.Handler):
    """Hands the standard library's log records on: the template of the message, never the values in it."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in LEVELS else "ERROR"
        fields: dict[str, Any] = {"library": record.name, "template": str(record.msg)}
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields["raised"] = record.exc_info[1]
        logger.bind(**fields).log(level, "a library says")
