"""The stand-in's settings, as values and from a JSON file. Every wrong key or value is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from daemon.carrier.handsets import Handset
from daemon.carrier.profiles import FAULTS, PROFILES
from daemon.errors import ConfigError, Finding


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    """`state`: the SQLite file. `notify_url`: the address under which callbacks are posted, or '' until the control
    port is told it. `mode`: `stepped`: the time is set through the control port, from `start` on; `real`: the wall
    clock. `repeat`: what a messageId taken before gets: the same answer and nothing more (honour), a second delivery
    (ignore), or errorCode 20003 (refuse). `shares`, `faults`, `per_second`, `stall_seconds` replace those of `profile`.
    `forbidden`: words that get errorCode 60001. `secrets` here are made up: this platform reaches nobody."""

    state: Path
    app_id: str = "duenotice"
    app_key: str = field(default="stand-in-app-key", repr=False)
    chatbot_id: str = "sip:106500@botplatform.rcs.domain.cn"
    callback_token: str = field(default="stand-in-callback-token", repr=False)
    control_token: str = field(default="stand-in-control-token", repr=False)
    notify_url: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    mode: Literal["stepped", "real"] = "real"
    start: datetime | None = None
    seed: int = 1
    repeat: Literal["honour", "ignore", "refuse"] = "honour"
    profile: str = "calm"
    shares: Mapping[str, float] | None = None
    faults: Mapping[str, float] | None = None
    per_second: int | None = None
    stall_seconds: float | None = None
    forbidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        findings = list(_wrong(self))
        if findings:
            raise ConfigError("the stand-in carrier's settings are unusable", findings)


_CHOICES = {"mode": ("stepped", "real"), "repeat": ("honour", "ignore", "refuse"), "profile": tuple(PROFILES)}


def _wrong(settings: CarrierSettings) -> list[Finding]:
    found: list[Finding] = []

    def wrong(key: str, value: object, allowed: str) -> None:
        found.append(Finding("carrier settings", 0, 0, key, repr(value), allowed))

    for key, choices in _CHOICES.items():
        if getattr(settings, key) not in choices:
            wrong(key, getattr(settings, key), ", ".join(choices))
    if settings.mode == "stepped" and (settings.start is None or settings.start.tzinfo is None):
        wrong("start", settings.start, "an instant with its offset, since the mode is stepped")
    for key, names in (("shares", [*Handset]), ("faults", [*FAULTS])):
        shares: Mapping[str, float] = getattr(settings, key) or {}
        for name, share in shares.items():
            if name not in names:
                wrong(f"{key}.{name}", name, ", ".join(names))
            elif not is_share(share):
                wrong(f"{key}.{name}", share, "a share between 0 and 1")
    return found


def is_share(value: object) -> bool:
    """A number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def load(path: Path, **given: Any) -> CarrierSettings:
    """Settings from a JSON object at `path`, `given` values winning. Raises ConfigError with every unknown or
    ill-typed key."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as broken:
        raise ConfigError(f"{path}: {broken}, expected a JSON object") from broken
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: found {type(found).__name__}, expected a JSON object")
    known = {f.name: f for f in fields(CarrierSettings)}
    findings = [Finding(str(path), 0, 0, key, key, ", ".join(known)) for key in found if key not in known]
    values = {key: value for key, value in found.items() if key in known} | given
    for key, value in values.items():
        expected = _expected(key)
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            findings.append(Finding(str(path), 0, 0, key, repr(value), _name(expected)))
    missing = [name for name, f in known.items() if f.default is MISSING and name not in values]
    findings += [Finding(str(path), 0, 0, name, "nothing", "a value") for name in missing]
    if findings:
        raise ConfigError("the stand-in carrier's settings are unusable", findings)
    return CarrierSettings(**_typed(values))


def _expected(key: str) -> Any:
    if key in ("port", "control_port", "seed", "per_second", "stall_seconds"):
        return int
    if key in ("shares", "faults"):
        return dict
    return {"forbidden": list, "state": str | Path, "start": str | datetime}.get(key, str)


def _name(expected: Any) -> str:
    return {int: "an integer", dict: "an object", list: "a list"}.get(expected, "a string")


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    typed = dict(values)
    typed["state"] = Path(typed["state"])
    if isinstance(typed.get("start"), str):
        try:
            typed["start"] = datetime.fromisoformat(typed["start"])
        except ValueError as broken:
            raise ConfigError(f"start: found {typed['start']!r}, expected an ISO 8601 instant with offset") from broken
    if "forbidden" in typed:
        typed["forbidden"] = tuple(map(str, typed["forbidden"]))
    return typed
