"""The margin rule in the rule engines of PyPI, each in its compiled form, from the same mapped facts.

Written to each one's advantage: one evaluation a fact, of the unless and the levels; the context holds only what they
read, the contract's lines resolved; the need and the mark, which would each cost another evaluation, are plain Python in
the adapter; a day is converted only where the need is asked for. `rule-engine` computes with decimals. zen-engine
refuses a Decimal, and both it and common-expression-language compute in numbers of their own: both get floats, and
for these facts, none of which lies within a float's width of a line, they find the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import cel
import rule_engine
import zen

from daemon.model.kinds import Absence, Value
from tests.bench.verdicts import DAY, FIELDS, LINES, Answer, Facts, Timed, day_of
from tests.builders_rules import shipped

Context = dict[str, Any]
Levels = Callable[[Context], str]

FIRM: dict[str, Any] = {name: shipped().parameters[name].on(DAY) for name in (*LINES, "ratio_tolerance")}
FLOAT = {name: float(value) for name, value in FIRM.items()}
RATIO = "(ratio_source == 'own' ? own_ratio : counter_ratio)"
LEVELS = (
    f"debts == 0 ? 'unless:no_debt' : {RATIO} < line_immediate ? 'level:urgent' : "
    f"(basis == 'day_end' && {RATIO} < line_call) ? 'level:call' : {RATIO} < line_warning ? 'level:warning' : "
    f"{RATIO} < line_attention ? 'level:attention' : 'condition'"
)
TABLE_COLUMNS = {"debts": "debts", "basis": "basis", "ratio": "ratio_source == 'own' ? own_ratio : counter_ratio"}
TABLE_ROWS = (
    ("unless:no_debt", {"debts": "== 0"}),
    ("level:urgent", {"ratio": "$ < line_immediate"}),
    ("level:call", {"basis": "'day_end'", "ratio": "$ < line_call"}),
    ("level:warning", {"ratio": "$ < line_warning"}),
    ("level:attention", {"ratio": "$ < line_attention"}),
    ("condition", {}),
)


def contenders(share: int) -> list[Timed]:
    """The peers; the slower ones run on every `share`-th chunk only."""
    rule, program, expression = rule_engine.Rule(LEVELS.replace("&&", "and")), cel.compile(LEVELS), _zen()
    table = zen.ZenEngine().create_decision(json.dumps(_table()))

    def by_table(context: Context) -> str:
        return table.evaluate(context)["result"]["reason"]  # type: ignore[no-any-return]

    return [
        Timed("zen-engine, compiled expression", _from_facts(floats, expression)),
        Timed("zen-engine, floats prepared", _from_contexts(expression), prepare=_prepared),
        Timed("zen-engine, decision table", _from_facts(floats, by_table), share),
        Timed("common-expression-language", _from_facts(floats, program.execute), share),
        Timed("rule-engine", _from_facts(decimals, rule.evaluate), share),
    ]


def _zen() -> Levels:
    return zen.compile_expression(LEVELS.replace("&&", "and")).evaluate  # type: ignore[no-any-return]


def decimals(fact: Mapping[str, Value]) -> Context:
    """What the rule reads, as it is."""
    context: Context = {
        "debts": fact["debts"],
        "own_ratio": fact["own_ratio"],
        "counter_ratio": fact["counter_ratio"],
        "ratio_source": fact["ratio_source"],
        "basis": fact["basis"],
    }
    for name, contract in FIELDS.items():
        line = fact[contract]
        context[name] = FIRM[name] if line is Absence.EMPTY else line
    return context


def floats(fact: Mapping[str, Value]) -> Context:
    """What the rule reads, numbers as floats; None for what is absent."""
    own: Any = fact["own_ratio"]
    counter: Any = fact["counter_ratio"]
    context: Context = {
        "debts": float(fact["debts"]),  # type: ignore[arg-type]
        "own_ratio": None if own.__class__ is Absence else float(own),
        "counter_ratio": None if counter.__class__ is Absence else float(counter),
        "ratio_source": fact["ratio_source"],
        "basis": fact["basis"],
    }
    for name, contract in FIELDS.items():
        line: Any = fact[contract]
        context[name] = FLOAT[name] if line is Absence.EMPTY else float(line)
    return context


def _prepared(facts: Facts) -> Any:
    return [(floats(fact), fact) for fact in facts]


def _from_facts(convert: Callable[[Mapping[str, Value]], Context], levels: Levels) -> Callable[[Facts], list[Answer]]:
    def decide(facts: Facts) -> list[Answer]:
        found = []
        for fact in facts:
            context = convert(fact)
            found.append(_answer(levels(context), fact, context))
        return found

    return decide


def _from_contexts(levels: Levels) -> Callable[[Any], list[Answer]]:
    def decide(pairs: Any) -> list[Answer]:
        return [_answer(levels(context), fact, context) for context, fact in pairs]

    return decide


def _answer(reason: str, fact: Mapping[str, Value], context: Context) -> Answer:
    own, counter = context["own_ratio"], context["counter_ratio"]
    there = own is not None and own.__class__ is not Absence
    tolerance = (FLOAT if own.__class__ is float else FIRM)["ratio_tolerance"]
    differs = there and abs(own - counter) > tolerance
    if reason.startswith("level:"):
        return "notify", reason, reason[6:], differs
    if day_of(fact["as_of"]) == fact["business_date"]:  # type: ignore[arg-type]
        return "no_match", reason, "", differs
    return "indeterminate", "needs:figures_of_the_day", "", differs


def _table() -> dict[str, Any]:
    """The rule as a decision of zen's own format: one table, the first row that holds."""
    inputs = [{"id": name, "name": name, "type": "expression", "field": text} for name, text in TABLE_COLUMNS.items()]
    rows = [
        {"_id": reason, "out": f"'{reason}'", **{name: cells.get(name, "") for name in TABLE_COLUMNS}}
        for reason, cells in TABLE_ROWS
    ]
    content = {
        "hitPolicy": "first",
        "rules": rows,
        "inputs": inputs,
        "outputs": [{"id": "out", "name": "reason", "type": "expression", "field": "reason"}],
    }
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode"},
        {"id": "table", "name": "table", "type": "decisionTableNode", "content": content},
        {"id": "end", "name": "end", "type": "outputNode"},
    ]
    edges = [
        {"id": "1", "sourceId": "in", "targetId": "table", "type": "edge"},
        {"id": "2", "sourceId": "table", "targetId": "end", "type": "edge"},
    ]
    return {"nodes": nodes, "edges": edges}
