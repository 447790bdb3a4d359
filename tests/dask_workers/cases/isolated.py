"""Backends in a process of their own are held to the same contract."""

import msgspec

from tests.dask_workers.contract import Case
from tests.dask_workers.samples import SMOLLM2, echo

CASES = [
    Case("echo, isolated", msgspec.structs.replace(echo(), isolate=True), slow=True),
    Case(
        "echo, paced and isolated",
        msgspec.structs.replace(echo(chunks=2000, rate=200.0), isolate=True),
        slow=True,
    ),
    Case(
        "llama_cpp, isolated",
        msgspec.structs.replace(SMOLLM2, slots=2, isolate=True),
        needs="smollm2",
        slow=True,
    ),
]
