"""What no module may do: run text as code, unpickle, hand text to a shell, skip TLS checks, load YAML with constructors."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.files import ROOT, tracked

MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "marshal",
    "shelve",
    "jsonpickle",
    "joblib",
    "cloudpickle",
    "code",
    "codeop",
    "pty",
    "commands",
}
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {("os", "system"), ("os", "popen"), ("ssl", "_create_unverified_context"), ("tempfile", "mktemp")}
KEYWORDS = {"shell": True, "verify": False, "check_hostname": False, "autoescape": False}
YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
THE_COMPILER = "daemon/rules/compile.py"
"""Generated code, walked against an allow list right before; its one `exec` of its one `compile`."""


def offences(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) of every forbidden thing."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from ((node.lineno, name) for name in names if name.partition(".")[0] in MODULES)
        if isinstance(node, ast.Name) and node.id in CALLS:  # also where it is only passed on
            yield node.lineno, node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if (owner, node.attr) in METHODS or (owner == "builtins" and node.attr in CALLS):
                yield node.lineno, f"{owner}.{node.attr}"
            if owner == "yaml" and node.attr in YAML:
                yield node.lineno, f"yaml.{node.attr}"
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                value = keyword.value
                if isinstance(value, ast.Constant) and keyword.arg in KEYWORDS and value.value is KEYWORDS[keyword.arg]:
                    yield node.lineno, f"{keyword.arg}={value.value}"
        if isinstance(node, ast.Attribute) and node.attr in ("CERT_NONE", "verify_mode"):
            yield node.lineno, node.attr


def test_no_module_does_what_is_forbidden_but_the_one_compiler() -> None:
    found = {
        (path.as_posix(), what)
        for path in tracked()
        if path.suffix == ".py" and path.parts[0] == "daemon"
        for _, what in offences((ROOT / path).read_text())
    }
    assert found == {(THE_COMPILER, "exec"), (THE_COMPILER, "compile")}


def test_the_compiler_runs_code_once() -> None:
    assert sorted(what for _, what in offences((ROOT / THE_COMPILER).read_text())) == ["compile", "exec"]


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "run = exec",
        "import pickle",
        "from marshal import loads",
        "import os\nos.system('x')",
        "import subprocess\nsubprocess.run('x', shell=True)",
        "httpx.post(u, verify=False)",
        "import yaml\nyaml.load(t, Loader=l)",
        "yaml.unsafe_load(t)",
        "context.verify_mode = ssl.CERT_NONE",
        "import builtins\nbuiltins.eval('1')",
    ],
)
def test_each_of_them_is_seen(source: str) -> None:
    assert list(offences(source))
