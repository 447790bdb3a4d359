"""Pictures from words on a CPU: a tiny diffusion model of our own, drawn after Fluent emoji.

The weights lie beside this file, with their card in ``README.md``;
:mod:`dask_workers.training.emoji` makes them.
"""
