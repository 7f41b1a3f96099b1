"""What every HTTP dialect reads of an answer alike."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from daemon.transport import Answer

LONGEST_WAIT = 86_400
"""Seconds: a longer wait than a day is not believed."""


def retry_after(answer: Answer, now: datetime) -> float | None:
    """RFC 9110 section 10.2.3: seconds or an HTTP date; None where it is neither."""
    text = answer.headers.get("retry-after", "")
    if text.isdecimal() and text.isascii():
        return float(min(int(text), LONGEST_WAIT))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), float(LONGEST_WAIT))
