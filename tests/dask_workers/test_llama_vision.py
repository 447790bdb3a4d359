"""A GGUF model with a projector is asked about pictures, and says what it lacks without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dask_workers.backends.llama_cpp import LlamaCppBackend
from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality

pytest.importorskip("xllamacpp")


def seeing(**settings: Any) -> LlamaCppBackend:
    spec = ModelSpec("eyes", Modality.VISION, "llama_cpp", RateCard(free=True), settings=settings)
    return LlamaCppBackend(spec)


def test_without_its_projector_it_cannot_be_served(tmp_path: Path) -> None:
    model, projector = tmp_path / "model.gguf", tmp_path / "mmproj.gguf"
    model.touch()
    assert "settings.mmproj" in seeing(path=str(model)).missing()
    assert "settings.mmproj" in seeing(path=str(model), mmproj=str(projector)).missing()
    projector.touch()
    assert seeing(path=str(model), mmproj=str(projector)).missing() == ""


def test_pulled_weights_bring_their_projector(tmp_path: Path) -> None:
    eyes = seeing(weights="smolvlm-500m", data_dir=str(tmp_path))
    assert "mtor pull smolvlm-500m" in eyes.missing()
