"""Photographs for tests, free for everybody: ``LICENCES.md`` says whose they are."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent
CARD = ("MTOR library card", "Name: Ada Lovelace", "No. 4711-0815", "Valid until 31 May 2027")


def photograph(name: str) -> bytes:
    """Return one of the photographs, as JPEG."""
    return (FOLDER / f"{name}.jpg").read_bytes()


def card(lines: tuple[str, ...] = CARD) -> Image.Image:
    """Draw a card with these lines on it."""
    drawn = Image.new("RGB", (640, 80 * len(lines) + 80), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(36)
    for number, line in enumerate(lines):
        pen.text((40, 40 + 80 * number), line, font=font, fill="black")
    return drawn


def encoded(image: Image.Image, form: str = "PNG", **how: object) -> bytes:
    """Return `image` as a file's bytes."""
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()
