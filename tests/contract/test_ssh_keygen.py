"""Approvals and OpenSSH: `ssh-keygen` verifies what we sign, we take what it signs, and rules/README.md's lines are true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.cli.place import today
from daemon.rules.load import load, read_folder
from daemon.rules.reviews import weak_references
from daemon.security import signerkey, sshsig
from daemon.security.sshkey import SK_ED25519, SshKey, string
from tests.builders_day import ROOT
from tests.builders_signing import key
from tests.unit.test_sshsig import MESSAGE, SPACE, token_key, token_signature

KEYGEN = shutil.which("ssh-keygen")
PASSPHRASE = "four words and a number 7"
PEOPLE = ("wang", "li", "sun", "zhou")
PAGE = (ROOT / "rules" / "README.md").read_text()


@pytest.fixture(autouse=True, scope="module")
def keygen() -> None:
    """Before anything is signed: absent, the tests are skipped, or fail in CI."""
    if KEYGEN is None and os.environ.get("CI"):
        pytest.fail("found no ssh-keygen, expected it (apt package openssh-client)")
    if KEYGEN is None:
        pytest.skip("found no ssh-keygen (apt package openssh-client)")


def block(after: str) -> list[str]:
    """The indented lines of the page's first block behind a text."""
    found = re.search(r"\n\n((?:    .*\n)+)", PAGE[PAGE.index(after) :])
    assert found, after
    return [line[4:] for line in found[1].splitlines()]


class Desk:
    """An installation, and a shell in it in which `duenotice` is this program. `mutants`: with the score as shipped."""

    def __init__(self, root: Path, *, mutants: bool = False) -> None:
        self.root, self.mutants = root, mutants
        tools = root.parent / "bin"
        tools.mkdir(parents=True)
        script = tools / "duenotice"
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec {sys.executable} -m daemon.cli "$@"\n')
        script.chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "DUENOTICE_CONFIG": str(root / "config" / "duenotice.yaml"),
            "LANG": "en",
        }
        self.run("duenotice", "init", str(root), folder=root.parent)
        config = root / "config" / "duenotice.yaml"
        if not mutants:
            config.write_text(config.read_text().replace("mutation_score: 0.95", "mutation_score: 0"))
        (root / "secret").write_text(PASSPHRASE)
        (root / "secret").chmod(0o600)
        for path in (root / "rules" / "parameters").glob("*.yaml"):
            path.write_text(re.sub(r"reviewed_on: \S+", f"reviewed_on: {today()}", path.read_text()))

    def run(self, *argv: str, folder: Path | None = None, good: bool = True) -> str:
        done = subprocess.run(argv, cwd=folder or self.root, env=self.env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is good, (argv, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def shell(self, lines: list[str], *, good: bool = True) -> str:
        return self.run("bash", "-euo", "pipefail", "-c", "\n".join(map(self.filled, lines)), good=good)

    def filled(self, line: str) -> str:
        """A line of the page with what stands for this installation put in: the passphrase where a terminal would be asked,
        the digest, the references, days that are ahead; but for `mutants` a report without them, as they take a minute."""
        if "DIGEST" in line:
            line = line.replace("DIGEST", self.approvals.name)
        if "REF …" in line:
            made = load(read_folder(self.root)).required()
            line = line.replace("REF …", " ".join(one.reference.id for one in weak_references(made)))
        if not self.mutants:
            line = line.replace("--report test.json", "--json > test.json")
        line = re.sub(r"--expires \S+", f"--expires {today() + timedelta(days=30)}", line)
        return re.sub(r"(rules key|--key) (\S+)", r"\1 \2 --passphrase-file secret", line)

    @property
    def approvals(self) -> Path:
        return next(p for p in (self.root / "rules" / "approvals").iterdir() if len(p.name) == 64)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """What the page says up to both signatures, line by line."""
    return sign_up(Desk(tmp_path_factory.mktemp("firm") / "firm"))


def sign_up(desk: Desk) -> Desk:
    """Keys, list, both signatures, verified."""
    desk.shell(block("Each person makes a key"))
    for name in PEOPLE[1:]:
        signerkey.make(desk.root / f"{name}.key", PASSPHRASE)
    text = "\n".join(block("The public lines go into"))
    for name in PEOPLE:
        line = (desk.root / f"{name}.key.pub").read_text().strip()
        text = re.sub(rf'(name: {name}, keys: \[")[^"]*', rf"\g<1>{line}", text)
    text = re.sub(r"from: [\d-]+", f"from: {today()}", text)
    text = re.sub(r"until: [\d-]+", f"until: {today() + timedelta(days=90)}", text)
    folder = desk.root / "rules" / "approvals" / "signers"
    folder.mkdir(parents=True)
    (folder / "1.yaml").write_text(text + "\n")
    desk.shell(block("This first list is trusted"))
    out = desk.shell(block("**Sign.**"))
    assert "approved by two" in out
    verified = verify(desk)
    assert verified.count('Good "rules@duenotice" signature for') == 2
    assert f"{desk.approvals.name}  files.sha256" in verified
    return desk


@pytest.fixture
def desk(signed: Desk, tmp_path: Path) -> Iterator[Desk]:
    """A copy to spoil; the store is the same."""
    made = object.__new__(Desk)
    made.root, made.env, made.mutants = tmp_path / "firm", signed.env, False
    shutil.copytree(signed.root, made.root)
    yield made


def verify(desk: Desk, *, good: bool = True) -> str:
    """The page's block; its first line, which asks the store, only where nobody has run it here yet."""
    lines = block("**Verify without this program.**")
    return desk.shell(lines[(desk.root / "allowed_signers").exists() :], good=good)


def test_the_pages_lines_accept_a_good_approval(desk: Desk) -> None:
    verify(desk)


@pytest.mark.slow
def test_the_shipped_rules_can_be_signed_with_the_score_as_shipped(tmp_path: Path) -> None:
    assert sign_up(Desk(tmp_path / "firm", mutants=True)).approvals.is_dir()


def test_the_pages_lines_refuse_a_changed_rule(desk: Desk) -> None:
    path = desk.root / "rules" / "margin" / "maintenance.yaml"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert "rules/margin/maintenance.yaml: FAILED" in verify(desk, good=False)


def test_the_pages_lines_refuse_a_changed_statement(desk: Desk) -> None:
    path = desk.approvals / "1-author-wang.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    assert "incorrect signature" in verify(desk, good=False).lower()


def test_the_pages_lines_refuse_a_signature_of_somebody_else(desk: Desk) -> None:
    name = "1-approver-li.json"
    (desk.approvals / f"{name}.sig").write_bytes(sshsig.sign(key("me"), SPACE, (desk.approvals / name).read_bytes()))
    verify(desk, good=False)


def test_what_openssh_signs_counts(desk: Desk) -> None:
    """As with a token, whose key this program never sees."""
    desk.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "chen.key")
    folder = desk.root / "rules" / "approvals" / "signers"
    line = (desk.root / "chen.key.pub").read_text().strip()
    text = (folder / "1.yaml").read_text().replace("version: 1", "version: 2")
    entry = f'  - {{name: chen, keys: ["{line}"], roles: [approver], from: {today()}, until: {today() + timedelta(days=9)}}}\n'
    (folder / "2.yaml").write_text(text + entry)
    desk.shell(["duenotice rules signers sign rules/approvals/signers/2.yaml --as sun --key sun.key"])
    (desk.approvals / "1-approver-li.json.sig").unlink()
    out = desk.shell(
        ["duenotice rules sign . --as chen --role approver --test-report test.json --version 1 --previous none"]
    )
    (command,) = re.findall(r"ssh-keygen -Y sign .*", out)
    desk.run(*command.replace("KEY", "chen.key").split())
    (path,) = desk.approvals.glob("1-approver-chen.json.sig")
    raw = path.with_suffix("").read_bytes()
    assert sshsig.verify(path.read_bytes(), SPACE, raw) == SshKey.from_line(line)
    sun = sshsig.verify((folder / "2.yaml.sun.sig").read_bytes(), "signers@duenotice", (folder / "2.yaml").read_bytes())
    assert sun == SshKey.from_line((desk.root / "sun.key.pub").read_text())


@pytest.mark.parametrize("type", ["ed25519", "ecdsa"])
def test_a_signature_made_by_openssh_is_read(tmp_path: Path, type: str) -> None:
    made, message = tmp_path / "key", tmp_path / "message"
    message.write_bytes(MESSAGE)
    subprocess.run([str(KEYGEN), "-q", "-t", type, "-N", "", "-f", made], check=True)
    subprocess.run([str(KEYGEN), "-q", "-Y", "sign", "-f", made, "-n", SPACE, message], check=True, capture_output=True)
    found = sshsig.verify((tmp_path / "message.sig").read_bytes(), SPACE, MESSAGE)
    assert found == SshKey.from_line((tmp_path / "key.pub").read_text())


@pytest.mark.parametrize(("application", "good"), [("ssh:", True), ("ssh:other", False)])
def test_openssh_and_we_agree_on_a_tokens_signature(tmp_path: Path, application: str, good: bool) -> None:
    armored = token_signature(MESSAGE, application=application)
    blob = (
        string(SK_ED25519.encode()) + string(token_key().public_key().public_bytes_raw()) + string(application.encode())
    )
    public = SshKey.from_blob(blob)
    (tmp_path / "sig").write_bytes(armored)
    (tmp_path / "allowed").write_text(f"wang {public.line}\n")
    argv = [str(KEYGEN), "-Y", "verify", "-f", "allowed", "-I", "wang", "-n", SPACE, "-s", "sig"]
    done = subprocess.run(argv, cwd=tmp_path, input=MESSAGE, capture_output=True, check=False)
    try:
        ours = sshsig.verify(armored, SPACE, MESSAGE) == public
    except sshsig.NotSigned:
        ours = False
    assert (done.returncode == 0, ours) == (good, good), done.stderr
