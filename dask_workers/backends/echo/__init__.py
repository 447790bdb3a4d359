"""Answers in every modality without a model: for tests, benchmarks and a first look at a realm."""

from dask_workers.backends.echo.backend import EchoBackend
from dask_workers.backends.echo.settings import Settings

__all__ = ["EchoBackend", "Settings"]
