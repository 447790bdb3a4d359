"""Speed and memory, each figure beside its floor: ``python -m benchmarks``.

What every figure and floor means stands in ``docs/contributor/benchmarks.md``.
"""
