"""Pictures by any pipeline of diffusers: Stable Diffusion on a GPU, the built-in emoji on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from dask_workers.drawing.pipelines import Settings, files_of, lacking, open_pipeline
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput, Unavailable
from mtor_kernel.protocol.query import Image, Modality, Query

if TYPE_CHECKING:
    from dask_workers.drawing.studio import Studio


class DiffusersBackend:
    """Draw one picture a query; those that wait and are alike are drawn together.

    The entry's ``slots`` say how many may be under way, its ``defaults`` the size, the steps and
    the guidance where a query sets none; the settings are
    :class:`~dask_workers.drawing.pipelines.Settings`.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.IMAGE})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._studio: Studio | None = None

    def missing(self) -> str:
        return lacking(self._settings)

    def load(self) -> None:
        if self._studio is not None:
            return
        if why := self.missing():
            raise Unavailable(why)
        from dask_workers.drawing.artist import PipelineArtist
        from dask_workers.drawing.studio import Studio

        settings = self._settings
        self._studio = Studio(
            PipelineArtist(open_pipeline(settings), settings.preview_every),
            most=settings.max_batch or self._spec.slots,
            gather_seconds=settings.gather_seconds,
            begin=self._use_threads,
        )

    def unload(self) -> None:
        studio, self._studio = self._studio, None
        if studio is not None:
            studio.close()

    def files(self) -> list[Path]:
        """Return what the pipeline is made of."""
        return files_of(self._settings)

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        from dask_workers.drawing.orders import order_of
        from dask_workers.drawing.studio import Drawing

        studio = self._studio
        if studio is None:
            raise Unavailable(f"{self._spec.name} is not in memory: ask again.")
        order = order_of(query, self._spec, context)
        for told in studio.visit(order, context):
            if isinstance(told, Step):
                yield told
            elif isinstance(told, Drawing):
                if not told.png:
                    raise BadInput("The model's own filter hid the picture: ask for another.")
                blob = context.write_blob(told.png, "image/png")
                yield Delta(part=Image(blob, "image/png"), tokens=0)
                width, height = order.manner.width, order.manner.height
                steps = order.manner.steps_taken
                yield Done(Usage(images=1, pixel_steps=width * height * steps))

    def _use_threads(self) -> None:
        """Have torch, if it is what draws, compute in so many threads: it counts them by thread."""
        if self._settings.n_threads and (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(self._settings.n_threads)
