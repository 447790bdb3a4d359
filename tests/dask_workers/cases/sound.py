import shutil

from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case

CASES = [
    Case(
        backend,
        ModelSpec(backend, modality, backend, RateCard(free=True), slots=2),
        needs=needs,
        slow=True,
    )
    for backend, modality, needs in [
        *([("espeak", Modality.SPEECH, "")] if shutil.which("espeak-ng") else []),
        ("hibari", Modality.SPEECH, ""),
        ("minilm", Modality.EMBEDDING, "minilm"),
        ("whisper", Modality.TRANSCRIPTION, "whisper_tiny_en"),
    ]
]
