"""Findings in Chinese: everything that the loaders can say has its Chinese, and what people wrote stays as they wrote it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cards.words import shipped_elements
from daemon.cli.findings import chinese, phrases, said
from daemon.errors import Finding
from tests.builders_rules import BAD, ROOT, loaded_mistake

SAYING = {"Finding", "refuse", "_refuse", "Problem", "_note", "note", "_finding", "_whole", "Fault", "ExpressionError"}
"""Calls that make a finding or a part of one."""
MODULES = (
    "yamlfile.py",
    "yamlstrict.py",
    "settings_files.py",
    "cli/check.py",
    "cards/check.py",
    "cards/lint.py",
    "cards/load.py",
    "cards/rcs_lint.py",
    "cards/suggestions.py",
    "cards/template.py",
    *(f"rules/{path.name}" for path in sorted((ROOT / "daemon" / "rules").glob("*.py"))),
)
ELSEWHERE = ("rules/approvals.py", "rules/signers.py", "rules/approval_files.py")
"""Approvals speak in sentences of their own."""


def listed(phrase: str) -> bool:
    """Whether a phrase is a list of names, numbers or quoted things: the same in every language."""
    return all(" " not in piece for piece in re.sub(r"'[^']*'", "X", phrase).split(", ")) or not re.sub(
        "[X :]", "", phrase
    )


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """(line, phrase with X for what varies) of every text that a module hands to a finding."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
        if isinstance(node, ast.Call) and name in SAYING:
            for arg in node.args:
                yield from ((node.lineno, text) for text in _texts(arg))


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.BoolOp):
        yield from (text for value in node.values for text in _texts(value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ELSEWHERE])
def test_every_phrase_of_a_loader_has_its_chinese(module: str) -> None:
    lacking = [
        f"{module}:{line}: {phrase}"
        for line, phrase in spoken(ROOT / "daemon" / module)
        if chinese(phrase) is None and not listed(phrase)
    ]
    assert lacking == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_finding_of_a_bad_file_is_told_in_chinese(path: Path) -> None:
    findings = loaded_mistake(path).findings
    lacking = [
        text
        for finding in findings
        for text in (finding.found, finding.allowed, finding.hint)
        if chinese(text) is None and not listed(text)
    ]
    assert lacking == []
    for finding in findings:
        line = said(finding, "zh")
        assert line.startswith(str(finding).split(": found ")[0])
        assert "现为" in line and "应为" in line and "found" not in line


def test_a_finding_reads_like_a_sentence_in_either_language() -> None:
    one = Finding("rules/a.yaml", 3, 5, "when", "the unknown name 'debt'", "a, b", "did you mean 'debts'?")
    assert (
        said(one, "en") == "rules/a.yaml:3:5: when: found the unknown name 'debt', allowed a, b (did you mean 'debts'?)"
    )
    assert said(one, "zh") == "rules/a.yaml:3:5: when: 现为未知的名称“debt”，应为a, b（是否应为“debts”？）"
    whole = Finding("rules/a.yaml", 0, 0, "file", "300000 bytes", "at most 262144 bytes")
    assert said(whole, "zh") == "rules/a.yaml: file: 现为300000 字节，应为最多 262144 字节"


def test_every_required_element_has_a_chinese_name() -> None:
    for element in shipped_elements():
        told = chinese(f"no {element.name} in title and description")
        assert told is not None and told.startswith("标题和正文中没有") and not told.isascii(), element.name
        assert re.search("[a-z]", told) is None, told


def test_what_varies_is_translated_but_for_names() -> None:
    assert chinese("no account tail in the SMS text") == "短信文本中没有账户尾号"
    assert chinese("a list of at least 2") == "至少 2 项的列表"
    assert chinese("the name 'nothing'") == "名称“nothing”"
    assert chinese("a phrase that nobody wrote") is None


def test_the_catalogue_has_each_phrase_once_and_as_many_things_that_vary() -> None:
    rows = list(phrases())
    assert len({en for en, _ in rows}) == len(rows)
    for en, zh in rows:
        assert en.count("{}") == len(re.findall(r"\{\d?\}", zh)), en
