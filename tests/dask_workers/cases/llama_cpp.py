import msgspec

from tests.dask_workers.contract import Case
from tests.dask_workers.samples import SMOLLM2

CASES = [
    Case("llama_cpp", msgspec.structs.replace(SMOLLM2, slots=2), needs="smollm2", slow=True),
]
