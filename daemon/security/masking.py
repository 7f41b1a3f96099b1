"""What a person who may not see a value sees instead, and what keeps a line of a log one line.

The table follows 证券法/个人信息保护法 practice as collected in domain.md A7 (JR/T 0171-2020 Annex A):

    phone     138****1234          msisdn
    name      张* (two characters), 张** (three and more)
    account   ****5678             id; the last four, only when there are at least eight
    document  ****                 id of level C3
    text      ****                 free text; and everything else that carries a personal level

Who may see the clear value, and the record of having seen it, is left to the caller.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from daemon.model.kinds import Field, Type

HIDDEN = "****"


def phone(value: str) -> str:
    """`13812345678` -> `138****5678`; with fewer than eleven digits nothing is shown."""
    digits = "".join(c for c in unicodedata.normalize("NFKC", value) if c in "0123456789")
    if len(digits) < 11:
        return HIDDEN
    digits = digits[-11:]
    return digits[:3] + HIDDEN + digits[-4:]


def name(value: str) -> str:
    """`张三` -> `张*`, `欧阳小明` -> `欧**`; one character is hidden."""
    text = value.strip()
    if len(text) < 2:
        return "*"
    return text[0] + ("*" if len(text) == 2 else "**")


def account(value: str) -> str:
    """The last four characters of at least eight."""
    text = value.strip()
    return HIDDEN + text[-4:] if len(text) >= 8 else HIDDEN


def hidden(value: str) -> str:
    """Nothing is shown, not even the length."""
    return HIDDEN


MASKS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"phone": phone, "name": name, "account": account, "document": hidden, "text": hidden}
)
BY_TYPE: Mapping[Type, str] = MappingProxyType(
    {Type.MSISDN: "phone", Type.NAME: "name", Type.ID: "account", Type.TEXT: "text"}
)


def mask_of(type: Type, level: str = "") -> str | None:
    """Which row of the table masks a field of this type and personal level; None: it is shown as it is."""
    if type is Type.ID and level == "C3":
        return "document"
    if type in BY_TYPE:
        return BY_TYPE[type]
    return "text" if level else None


def mask(type: Type, value: str, level: str = "") -> str:
    """A value as someone without the right to see it sees it."""
    row = mask_of(type, level)
    return value if row is None else MASKS[row](value)


def mask_field(field: Field, value: str) -> str:
    """`mask` by a kind's field."""
    return mask(field.type, value, field.personal)


_PHONE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?(1[0-9]{10})(?![0-9A-Za-z])")
_DOCUMENT = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")


def scrub(text: str) -> str:
    """Free text with every mobile number and 18-digit identity number masked: the last belt before a log."""
    return _PHONE.sub(lambda found: phone(found.group(1)), _DOCUMENT.sub(HIDDEN, text))


_UNSAFE = re.compile(
    "["
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, DEL, C1
    "\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e"
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"  # zero width, separators, bidi
    "\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff"
    "\\U000110bd\\U000110cd\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a"
    "\\U000e0001\\U000e0020-\\U000e007f"
    "]"
)


def _escape(found: re.Match[str]) -> str:
    point = ord(found.group())
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def escape_line(text: str) -> str:
    """`text` on one line: control, bidi, zero-width and separator characters as `\\x1b`, `\\u202e`. Doing it twice
    changes nothing."""
    return _UNSAFE.sub(_escape, text)
