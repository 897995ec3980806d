"""Terminal colours as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsolver.report.ansi import ansi_to_html
from envsolver.report.formatting import strip_ansi


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ('plain <b> & "quoted"', "plain &lt;b&gt; &amp; &quot;quoted&quot;"),
        ("\x1b[31mred\x1b[0m.", '<span class="af1">red</span>.'),
        ("\x1b[1;92mbold\x1b[22m green", '<span class="ab af10">bold</span><span class="af10"> green</span>'),
        ("\x1b[41mon red\x1b[49m", '<span class="ab1">on red</span>'),
        ("\x1b[38;5;28;01mx\x1b[39;00my", '<span class="ab afx" style="--f:#008700">x</span>y'),
        ("\x1b[38;5;9mx", '<span class="af9">x</span>'),
        ("\x1b[38;5;244mx", '<span class="afx" style="--f:#808080">x</span>'),
        ("\x1b[48;2;1;2;300mx", '<span class="abx" style="--b:#0102ff">x</span>'),
        ("\x1b[38:5:28mx", '<span class="afx" style="--f:#008700">x</span>'),
        ("\x1b[3;4mx\x1b[23;24my", '<span class="ai au">x</span>y'),
        ("\x1b[31mx\x1b[my", '<span class="af1">x</span>y'),
        ("\x1b[38mx", "x"),
        ("\x1b[38;5mx", "x"),
        ("\x1b[99999999mx", "x"),
        ("\x1b[2J\x1b]0;title\x07x", "x"),
    ],
)
def test_colours_become_spans(text: str, html: str) -> None:
    assert ansi_to_html(text) == html


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.lists(st.one_of(st.text(), st.from_regex(r"\x1b\[[0-9;:]{0,12}m", fullmatch=True), st.just("<script>"))))
def test_any_text_becomes_spans_and_its_own_text(parts: list[str]) -> None:
    text = "".join(parts)
    reader = _Reader()
    reader.feed(ansi_to_html(text))
    reader.close()
    assert reader.tags <= {"span"}
    assert reader.text == strip_ansi(text)
