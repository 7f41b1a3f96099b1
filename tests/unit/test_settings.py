"""The configuration: valid as shipped; every mistake at once, at its place; variables and secrets from where they belong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.errors import ConfigError, Finding, KeyUnusable
from daemon.settings import Settings, credentials_folder
from daemon.settings_files import load_settings
from daemon.sources.config import SourceConfig

SHIPPED = Path(__file__).parents[2] / "config"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in SHIPPED.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str, str], None]:
    def change(name: str, old: str, new: str) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def load(folder: Path, **env: str) -> Settings:
    return load_settings(folder / "duenotice.yaml", env)


def findings(folder: Path, **env: str) -> list[Finding]:
    with pytest.raises(ConfigError) as wrong:
        load(folder, **env)
    return list(wrong.value.findings)


def test_the_shipped_configuration_is_valid_and_sends_nothing() -> None:
    settings = load(SHIPPED)
    assert {gateway.dialect for gateway in settings.gateways.values()} == {"dryrun"}
    assert settings.rules.unsigned == "allow"
    assert settings.trail.every == timedelta(seconds=60)
    for name in settings.sources:
        SourceConfig.from_mapping(name, settings.source(name))


def test_paths_are_relative_to_the_configurations_folder(folder: Path) -> None:
    settings = load(folder)
    assert settings.path(settings.state) == folder.parent / "state"
    assert settings.path("/var/lib/x") == Path("/var/lib/x")
    assert settings.source("counter")["url"] == f"sqlite:///{folder.parent}/backoffice/counter.sqlite"
    assert settings.source("clearing")["folder"] == f"{folder.parent}/backoffice/files"


def test_settings_do_not_change(folder: Path) -> None:
    settings = load(folder)
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1  # type: ignore[misc]


def test_a_variable_beats_the_file_and_an_override_beats_both(folder: Path) -> None:
    env = {
        "DUENOTICE_WEB__PORT": "9000",
        "DUENOTICE_LOG__LEVEL": "DEBUG",
        "DUENOTICE_GATEWAYS__TRIAL__CONNECTIONS": "7",
        "DUENOTICE_CHANNELS": '{"rcs": ["trial"]}',
        "DUENOTICE_CONFIG": "elsewhere",
        "PATH": "/bin",
    }
    settings = load(folder, **env)
    assert (settings.web.port, settings.web.host, settings.log.level) == (9000, "127.0.0.1", "DEBUG")
    assert settings.gateways["trial"].connections == 7
    again = load_settings(folder / "duenotice.yaml", env, {"web": {"port": 1}})
    assert (again.web.port, again.log.level) == (1, "DEBUG")


def test_all_mistakes_are_reported_at_their_places(folder: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("duenotice.yaml", "port: 8443", "prot: 8443")
    edit("duenotice.yaml", "lang: zh", "lang: de")
    edit("duenotice.yaml", "every: 60s", "every: 60")
    edit("sources.yaml", "type: sql", "type: sq")
    edit("sources.yaml", "batch: 2000", "batch: 0")
    edit("channels.yaml", "rcs: [trial]", "rcs: [trail]")
    edit("channels.yaml", "connections: 4", "conections: 4")
    edit("carriers.yaml", "per_day: 1000000", "per_day: many")
    found = findings(folder, DUENOTICE_POLLS__CHILDREN="0", DUENOTICE_WEBB__PORT="1")
    texts = {(f.path, f.key): f for f in found}
    assert sorted(texts) == sorted(
        [
            ("duenotice.yaml", "web.prot"),
            ("duenotice.yaml", "lang"),
            ("duenotice.yaml", "trail.every"),
            ("sources.yaml", "sources.counter.type"),
            ("sources.yaml", "sources.counter.batch"),
            ("channels.yaml", "channels.rcs.0"),
            ("channels.yaml", "gateways.trial.conections"),
            ("carriers.yaml", "carriers.telecom.service.per_day"),
            ("environment", "DUENOTICE_POLLS__CHILDREN"),
            ("environment", "DUENOTICE_WEBB__PORT"),
        ]
    )
    assert texts["duenotice.yaml", "web.prot"].hint == "did you mean 'port'?"
    assert texts["channels.yaml", "gateways.trial.conections"].hint == "did you mean 'connections'?"
    assert texts["channels.yaml", "channels.rcs.0"].hint == "did you mean 'trial'?"
    assert texts["environment", "DUENOTICE_WEBB__PORT"].hint == "did you mean 'web'?"
    lines = (folder / "duenotice.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[texts["duenotice.yaml", "lang"].line - 1] == "lang: de"
    assert lines[texts["duenotice.yaml", "web.prot"].line - 1] == "  prot: 8443"
    assert texts["duenotice.yaml", "lang"].column == 7


def test_a_key_in_the_wrong_file_says_where_it_belongs(folder: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("carriers.yaml", "carriers:", "web: {}\ncarriers:")
    edit("duenotice.yaml", "node: n1", "node: n1\nsources: {}\nfolder: /tmp")
    found = {(f.path, f.key): f.hint for f in findings(folder)}
    assert found == {
        ("carriers.yaml", "web"): "it belongs into duenotice.yaml",
        ("duenotice.yaml", "sources"): "it belongs into sources.yaml",
        ("duenotice.yaml", "folder"): "",
    }


@pytest.mark.parametrize(
    ("gateway", "key"),
    [
        ("{dialect: carrier-pigeon}", "gateways.trial.dialect"),
        ("{folder: x}", "gateways.trial"),
        ("{dialect: ctcu, root: ftp://x, chatbot_id: sip:1@x, app_id: a, app_key_file: k, callback_token_file: t}",
         "gateways.trial.root"),
        ("{dialect: ctcu, root: https://x, app_id: a, app_key_file: k, callback_token_file: t}",
         "gateways.trial.chatbot_id"),
    ],
)  # fmt: skip
def test_a_gateway_is_checked_by_its_dialect(folder: Path, gateway: str, key: str) -> None:
    text = f"gateways:\n  trial: {gateway}\nchannels:\n  rcs: [trial]\n"
    (folder / "channels.yaml").write_text(text, encoding="utf-8")
    (found,) = findings(folder)
    assert (found.path, found.line, found.key) == ("channels.yaml", 2, key)


@pytest.mark.parametrize(
    ("alarms", "key", "found"),
    [
        ("{urgent: [robot]}", "alarms.urgent.0", "the way 'robot'"),
        ("{ways: {mail: {type: texts, gateway: nobody, to_file: t}}}", "alarms.ways.mail.gateway", "the gateway 'nobody'"),
        ("{ways: {mail: {type: pigeon}}}", "alarms.ways.mail.type", "the text 'pigeon'"),
        ("{ways: {mail: {type: mail, hots: h, host: h, sender: s, to_file: t}}}", "alarms.ways.mail.hots",
         "the unknown key 'hots'"),
        ("{escalate: [{after: 10m, ways: [chief]}]}", "alarms.escalate.0.ways.0", "the way 'chief'"),
        ("{escalate: [{after: soon, ways: []}]}", "alarms.escalate.0.after", "the text 'soon'"),
    ],
)  # fmt: skip
def test_alarms_name_only_ways_and_gateways_that_there_are(folder: Path, alarms: str, key: str, found: str) -> None:
    main = folder / "duenotice.yaml"
    main.write_text(main.read_text(encoding="utf-8").replace("alarms: {}", f"alarms: {alarms}"), encoding="utf-8")
    (wrong,) = findings(folder)
    assert (wrong.path, wrong.key, wrong.found) == ("duenotice.yaml", key, found) and wrong.line > 0


def test_a_time_out_that_does_not_fit_into_a_lease_is_a_finding_at_its_place(
    folder: Path, edit: Callable[[str, str, str], None]
) -> None:
    edit("channels.yaml", "    connections: 4\n", "    connections: 4\n    timeout: 90s\n")
    (found,) = findings(folder)
    assert (found.key, found.found, found.allowed) == ("gateways.trial.timeout", "90s", "less than deliver.lease, 90s")
    assert (Path(found.path).name, found.line > 1) == ("channels.yaml", True)
    assert load(folder, DUENOTICE_DELIVER__LEASE="2m").gateways["trial"].timeout == timedelta(seconds=90)


def test_a_missing_file_is_a_finding(folder: Path) -> None:
    (folder / "carriers.yaml").unlink()
    (found,) = findings(folder)
    assert (found.path, found.key) == ("carriers.yaml", "file")


def test_a_secret_comes_from_a_private_file(folder: Path) -> None:
    settings = load(folder)
    path = folder / "app-key"
    path.write_text("top secret\n", encoding="utf-8")
    path.chmod(0o640)
    with pytest.raises(KeyUnusable, match="0640") as wrong:
        settings.secret("app-key")
    assert "top secret" not in str(wrong.value)
    path.chmod(0o600)
    assert settings.secret("app-key") == "top secret"
    path.write_bytes(b"")
    with pytest.raises(KeyUnusable, match="0 bytes"):
        settings.secret("app-key")
    with pytest.raises(KeyUnusable, match="cannot be read"):
        settings.secret("another")


def test_a_credential_beats_a_file_of_its_name(folder: Path, tmp_path: Path) -> None:
    settings = load(folder)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "app-key").write_text("credential", encoding="utf-8")
    (credentials / "app-key").chmod(0o440)
    assert credentials_folder({"CREDENTIALS_DIRECTORY": str(credentials)}) == credentials
    assert credentials_folder({}) is None
    assert settings.secret("app-key", credentials) == "credential"
    with pytest.raises(KeyUnusable):
        settings.secret("./app-key", credentials)


def test_a_signature_stands_without_its_brackets(tmp_path: Path) -> None:
    """Rendering puts them on; with both, every SMS would begin 【【…】】."""
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    channels = folder / "channels.yaml"
    channels.write_text(channels.read_text().replace("signature: 示例证券", "signature: 【示例证券】", 1))
    with pytest.raises(ConfigError) as wrong:
        load_settings(folder / "duenotice.yaml")
    assert any("signature" in finding.key for finding in wrong.value.findings)
