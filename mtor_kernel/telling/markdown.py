"""Model output as HTML that can do nothing but be read.

A model repeats what it was fed, so its words are an attacker's. Two walls stand one behind the
other: the parser makes no raw HTML, no picture and no link but an absolute one whose host is shown;
what it made goes through an allow-list. JupyterLab's own sanitiser is not enough: it lets a remote
picture be fetched, which sends out whatever a prompt made the model put into the address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

TAGS = frozenset(
    {"a", "blockquote", "br", "code", "em", "hr", "p", "pre", "s", "small", "span", "strong"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
    | {"li", "ol", "ul"}
    | {"table", "tbody", "td", "th", "thead", "tr"}
)
SCHEMES = frozenset({"http", "https", "mailto"})
#: Where arguments of TeX would load, link or style something; MathJax never gets to see them.
_TEX_REACH = re.compile(
    r"\\(?:href|url|style|class|cssId|data|require|includegraphics|unicode|bbox|mmlToken)(?![A-Za-z])"
)
#: A formula. Its length is bounded, or a thousand unclosed ones would take a minute.
_MATH = re.compile(
    r"""
      \$\$ .{1,2000}? \$\$
    | \\\( .{1,2000}? \\\)
    | \\\[ .{1,2000}? \\\]
    | \$(?!\s) [^$\n]{1,2000}? (?<!\s)\$(?!\d)
    """,
    re.DOTALL | re.VERBOSE,
)
_LANGUAGE = re.compile(r"language-[A-Za-z0-9_+#.-]{1,40}")
#: What moves a cursor, rings, or makes text read backwards; line ends and tabs are left.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def readable(text: str) -> str:
    """Return `text` without what a terminal obeys or a reader cannot see."""
    return _INVISIBLE.sub("", text.replace("\r\n", "\n"))


def render_untrusted(text: str) -> str:
    """Return Markdown from a model as HTML without script, style, picture, id or hidden address."""
    return nh3.clean(
        _parser().render(readable(text)),
        tags=set(TAGS),
        attributes={"a": {"href"}, "code": {"class"}, "ol": {"start"}},
        attribute_filter=_attribute,
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Return an attribute's value, or ``None`` to leave the attribute out."""
    match tag, name:
        case "a", "href":
            return value if _reaches(value) else None
        case "code", "class":
            return value if _LANGUAGE.fullmatch(value) else None
        case ("a", "rel" | "target") | ("ol", "start"):
            return value
        case _:
            return None


def _reaches(address: str) -> bool:
    """Tell whether `address` is absolute and of a scheme that may be clicked on."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in SCHEMES and bool(
        parts.path if parts.scheme == "mailto" else parts.netloc
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _reaches  # type: ignore[assignment,method-assign]  # documented so
    parser.inline.ruler.before("escape", "math", _math)
    for name, rule in (
        ("text", _show_text),
        ("math", _show_math),
        ("image", _show_image),
        ("link_close", _show_link_close),
        ("th_open", _show_bare),
        ("td_open", _show_bare),
    ):
        parser.add_render_rule(name, rule)
    return parser


def _math(state: StateInline, silent: bool) -> bool:
    """Let formulas through as they stand: the front end typesets them."""
    if state.src[state.pos] not in "$\\" or not (found := _MATH.match(state.src, state.pos)):
        return False
    if not silent:
        state.push("math", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _show_text(_renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    """Show words: no dollar in them begins a formula, no TeX command in them reaches out."""
    words = escapeHtml(tokens[at].content).replace("$", "<span>$</span>")
    return _TEX_REACH.sub(r"<code>\g<0></code>", words)


def _show_math(_renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    """Show a formula for the front end to typeset; one that reaches out as its source."""
    formula = escapeHtml(tokens[at].content)
    return f"<code>{formula}</code>" if _TEX_REACH.search(formula) else formula


def _show_image(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    caption = renderer.renderInlineAsText(tokens[at].children, options, env)
    return f"<em>[picture: {escapeHtml(caption)}]</em>" if caption else "<em>[picture]</em>"


def _show_bare(_renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return f"<{tokens[at].tag}>"


def _show_link_close(_renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    opening = _opening_of(tokens, at)
    address = str(tokens[opening].attrs["href"])
    words = "".join(token.content for token in tokens[opening + 1 : at])
    parts = urlsplit(address)
    host = parts.path if parts.scheme == "mailto" else parts.hostname or ""
    if words == address and address.startswith((f"{parts.scheme}://{host}", f"mailto:{host}")):
        return "</a>"
    return f"</a> <small>({escapeHtml(host)})</small>"


def _opening_of(tokens: Sequence[Token], at: int) -> int:
    """Return where the link that closes at `at` opens; links do not nest."""
    return next(place for place in range(at, -1, -1) if tokens[place].type == "link_open")
