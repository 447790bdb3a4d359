"""A vision projector of LLaVA's architecture in GGUF, untrained: 100 KB to see through."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

#: It cuts a picture into so many pieces, each of which becomes a token.
PIECES = 4
_PATCH, _INNER, _BLOCKS = 14, 32, 2
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9
_ALIGN = 32


def save_projector(path: Path, width: int) -> Path:
    """Write one for a language model whose tokens are `width` numbers wide."""
    tensors = _tensors(width)
    fields = _fields(width)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields)
    at = 0
    for name, values in tensors.items():
        head += _text(name) + struct.pack("<I", values.ndim)
        head += struct.pack(f"<{values.ndim}QIQ", *reversed(values.shape), 0, at)
        at += len(_padded(values.tobytes()))
    body = b"".join(_padded(values.tobytes()) for values in tensors.values())
    path.write_bytes(_padded(head) + body)
    return path


def _tensors(width: int) -> dict[str, Any]:
    dice = np.random.default_rng(1)
    made: dict[str, Any] = {}

    def layer(name: str, *shape: int) -> None:
        made[f"{name}.weight"] = dice.normal(0, 0.05, shape).astype("<f4")
        made[f"{name}.bias"] = dice.normal(0, 0.05, shape[:1]).astype("<f4")

    def norm(name: str) -> None:
        layer(name, _INNER)
        made[f"{name}.weight"] += 1

    made["v.class_embd"] = dice.normal(0, 0.05, _INNER).astype("<f4")
    pieces = (_INNER, 3, _PATCH, _PATCH)
    made["v.patch_embd.weight"] = dice.normal(0, 0.05, pieces).astype("<f4")
    places = (PIECES + 1, _INNER)
    made["v.position_embd.weight"] = dice.normal(0, 0.05, places).astype("<f4")
    norm("v.pre_ln")
    for block in range(_BLOCKS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            layer(f"v.blk.{block}.{name}", _INNER, _INNER)
        norm(f"v.blk.{block}.ln1")
        norm(f"v.blk.{block}.ln2")
        layer(f"v.blk.{block}.ffn_up", 2 * _INNER, _INNER)
        layer(f"v.blk.{block}.ffn_down", _INNER, 2 * _INNER)
    layer("mm.0", width, _INNER)
    layer("mm.2", width, width)
    return made


def _fields(width: int) -> list[bytes]:
    def field(name: str, kind: int, value: bytes) -> bytes:
        return _text(name) + struct.pack("<I", kind) + value

    sizes = {
        "image_size": 2 * _PATCH,
        "patch_size": _PATCH,
        "embedding_length": _INNER,
        "feed_forward_length": 2 * _INNER,
        "projection_dim": width,
        "block_count": _BLOCKS,
        "attention.head_count": 2,
    }
    half = struct.pack("<IQ3f", _FLOAT32, 3, 0.5, 0.5, 0.5)
    return [
        field("general.architecture", _STRING, _text("clip")),
        field("clip.projector_type", _STRING, _text("mlp")),
        field("clip.has_vision_encoder", _BOOL, b"\x01"),
        field("clip.use_gelu", _BOOL, b"\x01"),
        *(field(f"clip.vision.{name}", _UINT32, struct.pack("<I", n)) for name, n in sizes.items()),
        field("clip.vision.attention.layer_norm_epsilon", _FLOAT32, struct.pack("<f", 1e-5)),
        field("clip.vision.image_mean", _ARRAY, half),
        field("clip.vision.image_std", _ARRAY, half),
    ]


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % _ALIGN)
