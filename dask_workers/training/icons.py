"""The Fluent emoji as training data: which there are, what they are called, how they look."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dask_workers.emoji.codec import SIDE, Floats
from dask_workers.sight.colours import look

#: MIT, by Microsoft; packed by Iconify. ``npm pack`` of this name and version gives the archive.
ICONS = "@iconify-json/fluent-emoji-flat@1.2.6"
ICONS_SHA256 = "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
#: MIT, by Miles Johnson, after Unicode CLDR: other words for the same pictures.
WORDS = "emojibase-data@17.0.0"
WORDS_SHA256 = "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"

_TONE = re.compile(r"(-(medium-light|medium-dark|light|medium|dark)){1,2}$")
#: Names that differ between the two sets, theirs and ours.
_RENAMED = {
    "blackbird": "black-bird",
    "keycap-asterisk": "keycap",
    "pouting-face": "enraged-face",
    "phoenix-bird": "phoenix",
    "piata": "pinata",
    "red-triangle": "red-triangle-pointed-up",
}
#: How often a group's icons are shown, beside 1. Many people look alike at this size, and nobody
#: asks a toy for the flag of a region.
_WEIGHTS = {"people-body": 0.1, "flags": 0.2, "symbols": 0.4, "objects": 0.5, "travel-places": 0.7}
_RARE = re.compile(r"oclock|thirty|moon-(first|last|wa)|button|mahjong|keycap|people|family")
_RARELY = 0.2
_WHITE = 245
#: What everybody tries first, and how often it is shown.
_COMMON = re.compile(
    r"heart|star$|^sun|circle|square|check-mark|house|tree|-apple$|-moon$|-ball$"
    r"|^((grinning|smiling|crying|winking|thinking)-face|(cat|dog|pig|rabbit|mouse)(-face)?"
    r"|automobile|rocket|airplane|bicycle|fish|frog|bird|duck|turtle|whale|butterfly|tulip|rose"
    r"|sunflower|banana|pizza|tomato|hamburger|strawberry|cherries|lemon|carrot|doughnut|ice-cream"
    r"|birthday-cake|hot-beverage|balloon|jack-o-lantern|snowman|ghost|robot|basketball|umbrella"
    r"|fire|rainbow|cloud|globe-showing-americas|light-bulb|key|gem-stone|crown|bell|camera"
    r"|smiling-face-with-(heart-eyes|sunglasses)|face-with-tears-of-joy)$"
)
_OFTEN = 3.0
#: What such a picture is called by everybody but its makers.
_ALSO = {
    "automobile": "car", "birthday-cake": "cake", "cat-face": "cat", "cooked-rice": "rice",
    "deciduous-tree": "tree", "dog-face": "dog", "evergreen-tree": "fir tree",
    "globe-showing-americas": "earth", "grinning-face": "smiley", "hot-beverage": "coffee",
    "jack-o-lantern": "pumpkin", "rabbit-face": "rabbit", "smiling-face": "happy face",
    "soccer-ball": "football", "soft-ice-cream": "ice cream", "sun-with-face": "smiling sun",
}  # fmt: skip
#: A word for so few pictures stands for them by itself.
_OWNERS = 2
#: The colour of so much of a drawing is named with it.
_MOSTLY = 0.4
#: Long names are the rare pictures' ("face with tongue", "man in steamy room").
_SHORT_WORDS, _LONG = 2, 0.5


class Icon(NamedTuple):
    """One picture and what it is called."""

    name: str
    group: str
    #: Its SVG, without the outermost element.
    body: str
    #: Words that people also use for it.
    tags: tuple[str, ...] = ()
    #: Those of them that hardly any other picture has.
    own: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Its name as words."""
        return self.name.replace("-", " ")

    @property
    def weight(self) -> float:
        """How often it is shown in training, beside others."""
        if _COMMON.search(self.name) and self.group != "people-body":
            return _OFTEN
        weight = _WEIGHTS.get(self.group, 1.0)
        weight *= _RARELY if _RARE.search(self.name) else 1.0
        return weight * (_LONG if self.name.count("-") >= _SHORT_WORDS else 1.0)

    def captions(self, colour: str = "") -> list[str]:
        """Return what may stand for it in training; the commonest forms stand there twice.

        Parameters
        ----------
        colour
            The one that most of it has, if one has: ``star`` is a yellow star too.
        """
        words = self.words
        plain = [words, _one(words)] * 2
        framed = [f"{words} emoji", f"a picture of {_one(words)}", f"draw {_one(words)}"]
        tags = [tag for tag in self.tags if tag.lower() != words]
        more = [f"{words}, {tag}" for tag in tags[:3]]
        more += [" ".join(tags[:4])] if tags else []
        also = [_ALSO[self.name]] if self.name in _ALSO else []
        more += [form for other in (*also, *self.own[:3]) for form in (other, _one(other))]
        if colour and colour not in words:
            more += [_one(f"{colour} {name}") for name in (words, words, *also)]
        return [*plain, *framed, *more]


def read(icons: Path, words: Path | None = None) -> list[Icon]:
    """Return the icons of the archive, without the variants by skin tone."""
    told = _checked(icons, ICONS, ICONS_SHA256, "package/icons.json")["icons"]
    names = [n for n, icon in told.items() if not icon.get("hidden") and not _TONE.search(n)]
    known: dict[str, Any] = {}
    groups: dict[str, str] = {}
    if words is not None:
        rows = _checked(words, WORDS, WORDS_SHA256, "package/en/data.json")
        known = {_slug(row["label"]): row for row in rows}
        groups = _checked(words, WORDS, WORDS_SHA256, "package/meta/groups.json")["groups"]
    rows = [known.get(_RENAMED.get(name, name), {}) for name in names]
    owners = Counter(tag for row in rows for tag in row.get("tags", ()))
    taken = {name.replace("-", " ") for name in names}
    found = []
    for name, row in zip(names, rows, strict=True):
        group = groups.get(str(row.get("group")), "")
        tags = tuple(row.get("tags", ()))
        own = tuple(tag for tag in tags if owners[tag] <= _OWNERS and tag not in taken)
        found.append(Icon(name, group, told[name]["body"], tags, own))
    return found


def colour(picture: Floats) -> str:
    """Return the plain name of the colour that most of a drawing has, or nothing."""
    pixels = np.ascontiguousarray((picture.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
    inked = pixels[pixels.min(-1) < _WHITE].reshape(1, -1, 3)
    if not inked.size:
        return ""
    main = look(Image.fromarray(inked))
    return main[0].name if main and main[0].share > _MOSTLY else ""


def draw(icon: Icon) -> Floats:
    """Return the icon on white as ``(3, 64, 64)``, from −1 to 1."""
    import resvg_py

    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    png = resvg_py.svg_to_bytes(
        svg_string=f"{head}{icon.body}</svg>", width=SIDE, height=SIDE, background="#ffffff"
    )
    pixels = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"), np.float32)
    return (pixels / 127.5 - 1).transpose(2, 0, 1)


def _one(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[\u2019\u201c\u201d']", "", label.lower())).strip(
        "-"
    )


def _checked(archive: Path, package: str, sha256: str, member: str) -> Any:
    """Return a JSON file of an archive that is exactly the one we know."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"{archive} is not {package} as it was published: npm pack {package}")
    with tarfile.open(archive) as tar:
        content = tar.extractfile(member)
        assert content is not None
        return json.load(content)
