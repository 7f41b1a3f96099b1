"""`duenotice cards preview`: a card as a handset shows it, with sample values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.yamlfile import near

if TYPE_CHECKING:
    from daemon.cards.card import Card
    from daemon.rules.schema import RuleSet


def add(parsers: Any) -> None:
    """The parser of `cards`."""
    commands = place.subparsers(parsers, "cards", "The approved words.")
    text = "text and HTML of a card with the values of a case of its rule, or with plain sample values; personal values masked"
    preview = commands.add_parser("preview", help=text, description=text)
    preview.add_argument("card", metavar="CARD", help="the card, such as margin/maintenance")
    preview.add_argument(
        "--variant", default="", metavar="V", help="the wording to show; default: the first that a case gives"
    )
    preview.add_argument("--stage", default="", metavar="S", help="the stage to show it at")
    preview.add_argument("--case", default="", metavar="NAME", help="the case that gives the values")
    preview.add_argument(
        "--dir", type=Path, metavar="DIR", help="the folder with rules/ and templates/; default: the configured one"
    )
    preview.add_argument(
        "--out", type=Path, metavar="FILE.html", help="also write one HTML page that needs nothing beside itself"
    )
    preview.add_argument(
        "--signature", default="", metavar="TEXT", help="the signature of SMS texts, without brackets, such as 示例证券"
    )
    preview.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Print the text, and write the page. 1 where no sample gives what is asked for."""
    from daemon.cards.preview import to_html, to_text
    from daemon.cli.samples import samples

    made = place.rules_of(args)
    screen = screen_of(args)
    card = _card(made, args)
    shown = next(
        samples(made, card, variant=args.variant, stage=args.stage, case=args.case, signature=args.signature), None
    )
    if shown is None:
        screen.line(screen.say("没有样例能给出这种文案", "no sample gives this wording"))
        return 1
    origin = shown.origin or screen.say("按类型的样例值", "plain sample values")
    screen.line(f"{card.name} · {shown.rendered.variant} · {shown.stage or '-'} · {origin}")
    print(to_text(shown.rendered), end="")
    others = [variant.name for variant in card.variants if variant.name != shown.rendered.variant]
    if others:
        screen.line(screen.say(f"其他文案：{'、'.join(others)}", f"other wordings: {', '.join(others)}"))
    if args.out is not None:
        args.out.write_text(to_html(shown.rendered, f"{card.name} · {shown.stage}"), "utf-8")
        screen.line(screen.say(f"网页写入 {args.out}", f"page written to {args.out}"))
    return 0


def _card(made: RuleSet, args: argparse.Namespace) -> Card:
    card: Card | None = made.cards.get(args.card)
    if card is None:
        raise Usage(
            f"card {args.card!r}: expected one of {', '.join(sorted(made.cards))} {near(args.card, made.cards)}".rstrip()
        )
    names = [variant.name for variant in card.variants]
    if args.variant and args.variant not in names:
        raise Usage(f"--variant: found {args.variant!r}, expected one of {', '.join(names)}")
    return card
