from tests.dask_workers.contract import Case
from tests.dask_workers.samples import SIGHT

CASES = [Case("sight", SIGHT, slow=True)]
