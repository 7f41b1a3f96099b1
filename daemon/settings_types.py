"""The words that settings are made of: lengths of time, names, texts, secrets by name, frozen sections."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from daemon.yamlfile import parse_span


def _span(value: object) -> object:
    found = parse_span(value) if isinstance(value, str) else value
    if not isinstance(found, timedelta):
        raise ValueError("a length of time such as 90s, 5m, 2h, 3d")
    return found


Span: TypeAlias = Annotated[timedelta, BeforeValidator(_span)]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Signature: TypeAlias = Annotated[str, StringConstraints(pattern=r"^([^【】\[\]\s]{2,18})?$")]
"""A signature of SMS texts without its brackets 【】, 2 to 18 characters; '' where the gateway adds it (MIIT, 2024-794)."""
Secret: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=500)]
"""The name of a file or credential that holds a secret, never the secret."""


class Section(BaseModel):
    """A frozen part of the configuration; a key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)
