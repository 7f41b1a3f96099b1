"""Loads the configuration: files, then variables, then a caller's own overrides; every mistake as a finding with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from daemon.errors import ConfigError, Finding
from daemon.settings import ENV_PREFIX, Settings
from daemon.settings_alarms import MailWay, RobotWay, TextsWay
from daemon.settings_gateways import CtcuGateway, DryrunGateway, WebhookGateway
from daemon.yamlfile import FindingsError, YList, YMap, describe, load, near

MAIN = "duenotice.yaml"
FILES: Mapping[str, tuple[str, ...]] = {
    "sources.yaml": ("sources",),
    "channels.yaml": ("gateways", "channels"),
    "carriers.yaml": ("carriers",),
}
"""Beside the main file, and the keys that stand there and nowhere else."""

TAGS: Mapping[str, type[BaseModel]] = {
    "wecom": RobotWay,
    "dingtalk": RobotWay,
    "mail": MailWay,
    "texts": TextsWay,
    "ctcu": CtcuGateway,
    "dryrun": DryrunGateway,
    "webhook": WebhookGateway,
}
"""Dialects of gateways and types of ways: pydantic names the one it chose in an error's location, where a file has no such key."""

OUTSIDE = frozenset({"DUENOTICE_CONFIG"})
"""Variables that are read elsewhere."""


def load_settings(
    path: Path, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The configuration of a main file and those beside it. Raises ConfigError with every finding.

    `env` are the variables to heed; `overrides` (nested as the files are) beat both, for a demo or a rehearsal.
    """
    findings: list[Finding] = []
    maps = _read(path, findings)
    merged: dict[str, Any] = {}
    for ymap in maps.values():
        merged = _merge(merged, ymap)
    variables = {k: v for k, v in (env or {}).items() if k.startswith(ENV_PREFIX) and k not in OUTSIDE}
    _check_variables(variables, findings)
    merged = _merge(_merge(merged, _Variables(variables).values()), overrides or {})
    try:
        settings = Settings(**merged | {"folder": path.parent.resolve()})
        findings += _check_leases(settings, maps)
    except ValidationError as wrong:
        findings += [_finding(dict(error), maps, variables, path) for error in wrong.errors(include_url=False)]
    findings += _check_routes(merged, maps)
    if findings:
        raise ConfigError(f"{path}: the configuration is wrong", sorted(findings))
    return settings


def _read(path: Path, findings: list[Finding]) -> dict[str, YMap]:
    """Top-level key -> the mapping that has it; a key in the wrong file is a finding."""
    maps: dict[str, YMap] = {}
    apart = {key: name for name, keys in FILES.items() for key in keys}
    for name in (path.name, *FILES):
        ymap = _load(path.with_name(name), findings)
        allowed = FILES.get(name)
        for key in list(ymap or ()):
            assert ymap is not None
            here = apart.get(key, path.name) if allowed is None else (name if key in allowed else path.name)
            if here != name or key == "folder":
                where = ", ".join(allowed) if allowed else "keys of this installation"
                hint = f"it belongs into {here}" if here != name else ""
                findings.append(Finding(name, *ymap.key_place(key), key, f"the key '{key}'", where, hint))
                del ymap[key]
        if ymap is not None:
            maps[name] = ymap
    return maps


def _load(path: Path, findings: list[Finding]) -> YMap | None:
    try:
        return load(path.read_bytes(), path.name)
    except OSError as reason:
        findings.append(Finding(path.name, 0, 0, "file", f"cannot be read ({reason.strerror})", "a readable file"))
    except FindingsError as wrong:
        findings += wrong.findings
    return None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


class _Variables(EnvSettingsSource):
    """pydantic-settings' reading of variables, from a given mapping."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items()}

    def values(self) -> dict[str, Any]:
        """Nested overrides."""
        return dict(self())


def _check_variables(variables: Mapping[str, str], findings: list[Finding]) -> None:
    known = [name for name in Settings.model_fields if name != "folder"]
    for name in sorted(variables):
        first = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if first not in known:
            hint = near(first, known)
            findings.append(Finding("environment", 0, 0, name, "an unknown variable", "DUENOTICE_<key>__<key>", hint))


def _finding(error: dict[str, Any], maps: Mapping[str, YMap], variables: Mapping[str, str], path: Path) -> Finding:
    """A validation error at its place: the variable that set it, else file, line and column."""
    loc = [str(part) for part in error["loc"]]
    if error["type"] == "union_tag_invalid":
        loc.append("type" if loc[0] == "alarms" else "dialect")
        error |= {"msg": error["ctx"]["expected_tags"], "input": error["ctx"]["tag"]}
    loc, tagged = _without_tag(loc), loc
    key = ".".join(loc)
    allowed = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    found = "nothing" if error["type"] in ("missing", "union_tag_not_found") else _describe(error["input"])
    hint = ""
    if error["type"] == "extra_forbidden":
        known = _known_keys(tagged[:-1])
        found, allowed, hint = f"the unknown key '{loc[-1]}'", ", ".join(known), near(loc[-1], known)
    name = ENV_PREFIX + "__".join(loc).upper()
    if any(variable.upper() == name for variable in variables):
        return Finding("environment", 0, 0, name, found, allowed, hint)
    ymap = next((m for m in maps.values() if loc[0] in m), None)
    if ymap is None:
        return Finding(path.name, 0, 0, key, found, allowed, hint)
    return Finding(ymap.path, *_place(ymap, loc, error["type"] == "extra_forbidden"), key, found, allowed, hint)


def _without_tag(loc: list[str]) -> list[str]:
    at = {"gateways": 2, "alarms": 3}.get(loc[0], len(loc))
    return loc[:at] + loc[at + 1 :] if at < len(loc) and loc[at] in TAGS else loc


def _describe(found: Any) -> str:
    return "a mapping" if isinstance(found, Mapping) else "a list" if isinstance(found, list) else describe(found)


def _place(ymap: YMap, loc: list[str], at_key: bool) -> tuple[int, int]:
    here: Any = ymap
    place = ymap.mark
    for depth, part in enumerate(loc):
        if isinstance(here, YMap) and part in here:
            place = here.key_place(part) if at_key and depth == len(loc) - 1 else here.place(part)
            here = here[part]
        elif isinstance(here, YList) and part.isdigit():
            place, here = here.place(int(part)), here[int(part)]
    return place


def _known_keys(loc: list[str]) -> list[str]:
    """The keys of the model at a location."""
    model: Any = Settings
    for part in loc:
        if part in TAGS:
            model = TAGS[part]
        elif isinstance(model, type) and issubclass(model, BaseModel):
            model = _inner(model.model_fields[part].annotation)
        else:
            model = _inner(get_args(model)[-1])
    return [name for name in getattr(model, "model_fields", ()) if (model, name) != (Settings, "folder")]


def _inner(annotation: Any) -> Any:
    """`X` of `X | None`; anything else as it is."""
    rest = [part for part in get_args(annotation) if part is not type(None)]
    return rest[0] if type(None) in get_args(annotation) and len(rest) == 1 else annotation


def _where(maps: Mapping[str, YMap], loc: list[str]) -> tuple[str, tuple[int, int]]:
    """The file of a key and its place there."""
    ymap = next((m for m in maps.values() if loc[0] in m), None)
    return ("environment", (0, 0)) if ymap is None else (ymap.path, _place(ymap, loc, False))


def _check_routes(merged: Mapping[str, Any], maps: Mapping[str, YMap]) -> list[Finding]:
    """Every gateway that a channel, a carrier or an alarm names is configured, and every way that the roster names."""
    findings = []
    for loc, word, name, known in _named(merged):
        if isinstance(name, str) and name not in known:
            path, place = _where(maps, loc)
            allowed = ", ".join(known) or "none is configured"
            findings.append(Finding(path, *place, ".".join(loc), f"the {word} '{name}'", allowed, near(name, known)))
    return findings


def _check_leases(settings: Settings, maps: Mapping[str, YMap]) -> list[Finding]:
    """A sender whose time-out does not fit into its lease sends nothing."""
    lease, findings = settings.deliver.lease, []
    for name, gateway in settings.gateways.items():
        if gateway.timeout >= lease:
            loc = ["gateways", name, "timeout"]
            path, place = _where(maps, loc)
            allowed = f"less than deliver.lease, {lease.total_seconds():.0f}s"
            findings.append(Finding(path, *place, ".".join(loc), f"{gateway.timeout.total_seconds():.0f}s", allowed))
    return findings


def _named(merged: Mapping[str, Any]) -> Iterator[tuple[list[str], str, Any, list[str]]]:
    """(key, word for what it names, the name, names there are)."""
    gateways = list(_mapping(merged, "gateways"))
    for channel, names in _mapping(merged, "channels").items():
        yield from ((["channels", channel, at], "gateway", name, gateways) for at, name in _listed(names))
    for carrier, found in _mapping(merged, "carriers").items():
        for kind in ("service", "marketing"):
            grant = _mapping(found, kind) if isinstance(found, Mapping) else {}
            if "gateway" in grant:
                yield ["carriers", carrier, kind, "gateway"], "gateway", grant["gateway"], gateways
    alarms = _mapping(merged, "alarms")
    ways = list(_mapping(alarms, "ways"))
    for way, found in _mapping(alarms, "ways").items():
        if isinstance(found, Mapping) and "gateway" in found:
            yield ["alarms", "ways", way, "gateway"], "gateway", found["gateway"], gateways
    for severity in ("warning", "urgent"):
        yield from ((["alarms", severity, at], "way", name, ways) for at, name in _listed(alarms.get(severity)))
    for number, step in _listed(alarms.get("escalate")):
        named = _listed(step.get("ways")) if isinstance(step, Mapping) else ()
        yield from ((["alarms", "escalate", number, "ways", at], "way", name, ways) for at, name in named)


def _listed(found: Any) -> list[tuple[str, Any]]:
    return [(str(at), one) for at, one in enumerate(found)] if isinstance(found, list | tuple) else []


def _mapping(merged: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = merged.get(key)
    return found if isinstance(found, Mapping) else {}
