"""``python -m benchmarks [NAME…] [--quick]``: measure, and print one table."""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import sys
import tempfile
import time
from importlib import import_module, metadata
from pathlib import Path

import psutil

from benchmarks.harness import Bench
from benchmarks.table import header, lines

#: Each has a file of its name, with ``TITLE`` and ``run``.
NAMES = (
    "line",
    "map",
    "streams",
    "turns",
    "fairness",
    "memory",
    "startup",
    "store",
    "words",
    "sight",
    "sound",
    "pictures",
    "panel",
    "hub",
)


def main() -> int:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    print(_machine())
    print(header(), flush=True)
    begun = time.monotonic()
    bench = Bench(Path(tempfile.mkdtemp(prefix="mtor-bench-")), given.quick)
    try:
        for name in given.names or NAMES:
            benchmark = import_module(f"benchmarks.{name}")
            rows = asyncio.run(benchmark.run(bench))
            print(lines(benchmark.TITLE, rows), flush=True)
    except Exception:
        print(f"The logs that may say why are in {bench.folder}.", file=sys.stderr)
        raise
    shutil.rmtree(bench.folder)
    print(f"\nAll of it took {time.monotonic() - begun:.0f} s.")
    return 0


def _machine() -> str:
    """Say what this was measured on, and what else was going on there."""
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("distributed", "tornado", "SQLAlchemy")
    )
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python "
        f"{platform.python_version()}, {packages}; others used "
        f"{psutil.cpu_percent(1.0):.0f} % of the processors before it began.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
