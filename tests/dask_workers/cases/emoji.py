from tests.dask_workers.contract import Case
from tests.dask_workers.samples import EMOJI

CASES = [Case("diffusers, emoji", EMOJI, needs="minilm", slow=True)]
