"""A filled-in card as text and as one HTML page, as a handset shows it. Pure.

The page needs nothing beside itself: no script, no picture, no address; every value is escaped, and links are
shown, not linked.
Whether the values are masked is decided before rendering, by whoever may see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from daemon.cards.render import Rendered
from daemon.cards.width import units


def to_text(rendered: Rendered) -> str:
    """Card, buttons and SMS text for a terminal."""
    rule = "─" * 40
    lines = [rule, rendered.title, rule, rendered.description, rule]
    if rendered.media is not None:
        lines.insert(1, f"[{rendered.media.content_type}] {rendered.media.url}")
    lines += [f"[{label}] {what}".rstrip() for label, what in map(_button, rendered.suggestions)]
    lines += [rule, f"SMS × {rendered.sms_parts}", rendered.sms]
    if rendered.omitted:
        lines.append(f"未显示（结束不晚于开始）：{'、'.join(rendered.omitted)}")
    return "\n".join(lines) + "\n"


def to_html(rendered: Rendered, heading: str = "") -> str:
    """One self-contained page: the card, and the SMS text beside it. `heading` names what is shown."""
    buttons = "".join(
        f'<div class="button" title="{escape(what)}">{escape(label)}</div>'
        for label, what in map(_button, rendered.suggestions)
    )
    media = ""
    if rendered.media is not None:
        media = f'<div class="media">{escape(rendered.media.content_type)}<br>{escape(rendered.media.url)}</div>'
    return _PAGE.format(
        heading=escape(heading or rendered.title),
        variant=escape(rendered.variant),
        media=media,
        title=escape(rendered.title),
        description=escape(rendered.description),
        buttons=buttons,
        sms=escape(rendered.sms),
        parts=rendered.sms_parts,
        units=units(rendered.sms),
    )


def _button(suggestion: Mapping[str, Any]) -> tuple[str, str]:
    """A button's label, and what it does."""
    if "reply" in suggestion:
        return suggestion["reply"]["displayText"], ""
    action = suggestion["action"]
    if "urlAction" in action:
        what = action["urlAction"]["openUrl"]["url"]
    elif "dialerAction" in action:
        what = action["dialerAction"]["dialPhoneNumber"]["phoneNumber"]
    else:
        entry = action["calendarAction"]["createCalendarEvent"]
        what = f"{entry['title']} {entry['startTime']} – {entry['endTime']}"
    return action["displayText"], what


_PAGE = """<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{heading}</title>
<style>
:root {{ color-scheme: light dark; --page: #eceff3; --screen: #f7f8fa; --card: #fff; --ink: #1b1f24; --soft: #6a737d;
  --line: #e3e6ea; --link: #0b62c4; --bubble: #e4f0ff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #14171a; --screen: #1c2024; --card: #262b30; --ink: #eceff2;
  --soft: #98a2ac; --line: #373e45; --link: #7db7ff; --bubble: #22364d; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: 2rem 1rem; background: var(--page); color: var(--ink); line-height: 1.55;
  font: 15px/1.55 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }}
h1 {{ margin: 0 auto 1.5rem; max-width: 780px; font-size: 1rem; font-weight: 600; }}
h1 small {{ color: var(--soft); font-weight: 400; margin-left: .6em; }}
main {{ display: flex; flex-wrap: wrap; gap: 1.5rem; justify-content: center; align-items: flex-start; }}
figure {{ margin: 0; width: 360px; max-width: 100%; }}
figcaption {{ color: var(--soft); font-size: .82rem; margin: 0 0 .5rem .4rem; }}
.screen {{ background: var(--screen); border: 1px solid var(--line); border-radius: 26px; padding: 18px 14px; }}
.card {{ background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; }}
.media {{ background: var(--line); color: var(--soft); font-size: .75rem; padding: 2.2rem 1rem; text-align: center;
  overflow-wrap: anywhere; }}
.title {{ font-size: 1.08rem; font-weight: 650; padding: 14px 16px 0; }}
.description {{ padding: 8px 16px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }}
.button {{ border-top: 1px solid var(--line); color: var(--link); text-align: center; padding: 11px 8px; }}
.sms {{ background: var(--bubble); border-radius: 16px 16px 16px 4px; padding: 11px 14px; white-space: pre-wrap;
  overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{heading}<small>{variant}</small></h1>
<main>
<figure><figcaption>5G 消息</figcaption>
<div class="screen"><div class="card">{media}<div class="title">{title}</div>
<div class="description">{description}</div>{buttons}</div></div></figure>
<figure><figcaption>短信回落 · {parts} 条 · {units} 字</figcaption>
<div class="screen"><div class="sms">{sms}</div></div></figure>
</main>
</body>
</html>
"""
