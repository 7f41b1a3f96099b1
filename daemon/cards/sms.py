"""SMS text: how many parts it takes, its signature, its parts.

Chinese carriers carry every text as UCS-2 and charge by it, also a text of ASCII only, so GSM 7-bit packing is never
counted: 70 code units in one message, else parts of 67 (6 octets of user data header, 3GPP TS 23.040 9.2.3.24.1). A
character beyond U+FFFF is two units (a surrogate pair) and is never cut in two. The signature 【…】 in front counts
(domain.md A6).
"""

from __future__ import annotations

from daemon.cards.width import units

SINGLE = 70
PART = 67
SIGNATURE_MIN, SIGNATURE_MAX = 2, 18
"""Characters of a registered signature between its brackets (MIIT, 2024-794)."""


def parts(text: str) -> int:
    """How many messages the carrier counts; an empty text takes none."""
    length = units(text)
    if length <= SINGLE:
        return 1 if length else 0
    if length == len(text):
        return -(-length // PART)
    return len(_cut(text))


def split(text: str) -> list[str]:
    """The parts themselves, as a gateway that does not cut by itself needs them. Joined they are the text."""
    if units(text) <= SINGLE:
        return [text] if text else []
    return _cut(text)


def sign(text: str, signature: str) -> str:
    """Put 【signature】 in front; an empty signature means that the gateway adds it and counts it."""
    return f"【{signature}】{text}" if signature else text


def signature_fault(signature: str) -> str:
    """What is wrong with a signature, or ''."""
    if any(c in signature for c in "【】[]") or signature != signature.strip():
        return f"found {signature!r}, expected the signature without brackets and blanks"
    if not SIGNATURE_MIN <= len(signature) <= SIGNATURE_MAX:
        return f"found {len(signature)} characters, expected {SIGNATURE_MIN} to {SIGNATURE_MAX}"
    return ""


def _cut(text: str) -> list[str]:
    made: list[str] = []
    start = used = 0
    for i, char in enumerate(text):
        width = 2 if char > "\uffff" else 1
        if used + width > PART:
            made.append(text[start:i])
            start, used = i, 0
        used += width
    made.append(text[start:])
    return made
