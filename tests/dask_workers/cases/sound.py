import shutil

from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case


def case(backend: str, modality: Modality, needs: str = "", *, isolate: bool = False) -> Case:
    return Case(
        f"{backend}, isolated" if isolate else backend,
        ModelSpec(backend, modality, backend, RateCard(free=True), slots=2, isolate=isolate),
        needs=needs,
        slow=True,
    )


CASES = [
    case("hibari", Modality.SPEECH),
    case("minilm", Modality.EMBEDDING, "minilm"),
    case("whisper", Modality.TRANSCRIPTION, "whisper_tiny_en"),
    # What reads other people's recordings may well be run in a process of its own.
    case("whisper", Modality.TRANSCRIPTION, "whisper_tiny_en", isolate=True),
    case("hibari", Modality.SPEECH, isolate=True),
]
if shutil.which("espeak-ng"):
    CASES.append(case("espeak", Modality.SPEECH))
