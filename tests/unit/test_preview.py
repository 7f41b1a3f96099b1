"""Previews: nothing a value says is markup, and the page needs nothing beside itself."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from daemon.cards import rcs
from daemon.cards.preview import to_html, to_text
from daemon.cards.render import Rendered


def made(title: str = "标题", description: str = "正文", sms: str = "短信", media: rcs.Media | None = None) -> Rendered:
    suggestions = (rcs.reply("已知晓", "ack"), rcs.open_link("去缴款", "open", "https://m.example.com/a?b=1&c=2"))
    document = rcs.message(title, description, list(suggestions), media)
    return Rendered(title, description, suggestions, media, document, sms, sms, 1, "full", ("加入日历",))


class Reading(HTMLParser):
    """Collects tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.text(st.sampled_from("<>&\"'/=ascript甲 "), max_size=60), st.text(st.sampled_from("<>&\"'{}甲"), max_size=30))
def test_values_are_never_markup(description: str, title: str) -> None:
    plain, hostile = Reading(to_html(made())), Reading(to_html(made(title, description), heading=title))
    assert [t for t, _ in hostile.tags] == [t for t, _ in plain.tags]
    assert description in "".join(hostile.texts)


def test_the_page_fetches_nothing() -> None:
    page = to_html(made(media=rcs.Media("https://m.example.com/a.png", "image/png", 1)))
    reading = Reading(page)
    assert {t for t, _ in reading.tags}.isdisjoint({"script", "img", "link", "iframe", "a"})
    assert not any(key in ("src", "href") or key.startswith("on") for _, attrs in reading.tags for key in attrs)
    assert "url(" not in page
    assert "https://m.example.com/a.png" in "".join(reading.texts)


def test_text_shows_card_buttons_and_sms() -> None:
    text = to_text(made())
    assert "[去缴款] https://m.example.com/a?b=1&c=2" in text
    assert "SMS × 1\n短信" in text
    assert "加入日历" in text
