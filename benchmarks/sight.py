"""Pictures a second through a realm, beside the bare libraries.

The floor is what somebody would write without MTOR: the whole pipeline of ``rapidocr``, and the two
networks of the built-in sight in onnxruntime, one picture after the other in one process.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.harness import Bench, median
from benchmarks.realm_process import realm_process
from benchmarks.table import Row

TITLE = "Sight"
_CATALOGUE = """
[[models]]
name = "sight"
modality = "vision"
backend = "sight"
preload = true
rates = { query_micro = 1 }
"""
_BARE = "rapidocr, onnxruntime"


async def run(bench: Bench) -> list[Row]:
    """Measure."""
    count, rounds = (4, 1) if bench.quick else (5, 3)
    pictures = {"a page of 12 lines": _page(12), "no writing": _page(0)}
    bench.say("the bare libraries are loaded")
    bare = await asyncio.to_thread(_bare)
    rows = []
    async with realm_process(bench, "sight", _CATALOGUE) as realm, realm.client() as client:
        for what, picture in pictures.items():
            bench.say(f"pictures: {what}")
            await client.see(picture, "Read it.", "sight")
            bare(picture)
            ours, floors = [], []
            for _ in range(rounds):
                begun = time.perf_counter()
                for _ in range(count):
                    await client.see(picture, "Read it.", "sight")
                ours.append(count / (time.perf_counter() - begun))
                begun = time.perf_counter()
                for _ in range(count):
                    await asyncio.to_thread(bare, picture)
                floors.append(count / (time.perf_counter() - begun))
            ratio = median(a / b for a, b in zip(ours, floors, strict=True))
            rows.append(Row(f"pictures, {what}", median(ours), "/s", median(floors), _BARE, ratio))
    return rows


def _bare() -> Callable[[bytes], None]:
    """Return what looks at one picture with the bare libraries."""
    from rapidocr import RapidOCR

    from dask_workers.sight.networks import session

    settings = {
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "Global.log_level": "error",
    }
    reader = RapidOCR(params=settings)
    networks = [(session("labels.onnx", 1), 224), (session("objects.onnx", 1), 416)]

    def look(content: bytes) -> None:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        for network, side in networks:
            pixels = np.asarray(image.resize((side, side)), np.float32).transpose(2, 0, 1)[None]
            network.run(None, {"pixels": pixels / 255})
        reader(np.asarray(image)[:, :, ::-1])

    return look


def _page(lines: int) -> bytes:
    """Draw a page of so many lines, and return it as PNG."""
    page = Image.new("RGB", (800, 1000), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(28)
    for line in range(lines):
        words = f"Line {line + 1} of a page that is read."
        pen.text((60, 60 + 70 * line), words, font=font, fill="black")
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()
