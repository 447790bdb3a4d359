from tests.dask_workers.contract import Case
from tests.dask_workers.samples import echo

CASES = [
    Case("echo", echo()),
    Case("echo, paced", echo(chunks=2000, rate=200.0)),
]
