"""What a machine can serve is found without loading anything, and what it cannot is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dask_workers.discovery import backend_names, discover
from dask_workers.weights import BUNDLES
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.samples import SMOLLM2, echo


def test_our_own_backends_are_known() -> None:
    assert {"echo", "llama_cpp"} <= set(backend_names())


def test_a_model_that_can_be_served_lacks_nothing() -> None:
    (found,) = discover([echo()])
    assert found.missing == ""
    assert found.backend is not None


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (msgspec.structs.replace(echo(), backend="none"), "no backend 'none'"),
        (msgspec.structs.replace(SMOLLM2, modality=Modality.SPEECH), "does not do speech"),
        (echo(missing="No plug."), "No plug."),
        (echo(chunks="many"), "ValidationError"),
        (msgspec.structs.replace(SMOLLM2, settings={"path": "/no/such.gguf"}), "no file"),
        (msgspec.structs.replace(SMOLLM2, settings={"weights": "gpt9"}), "no built-in weights"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(spec: ModelSpec, says: str) -> None:
    (found,) = discover([spec])
    assert says in found.missing


def test_weights_that_were_not_pulled_name_the_command(tmp_path: Path) -> None:
    (found,) = discover([SMOLLM2], str(tmp_path))
    assert "mtor pull smollm2" in found.missing


def test_the_data_directory_is_where_the_realm_says(tmp_path: Path) -> None:
    known = BUNDLES["smollm2"].files[0]
    place = tmp_path / "models" / "smollm2" / known.name
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(known.size_bytes)
    (found,) = discover([SMOLLM2], str(tmp_path))
    assert found.missing == ""
