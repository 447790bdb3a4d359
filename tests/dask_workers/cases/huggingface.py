from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case
from tests.dask_workers.services.huggingface import HuggingFaceService

PLACES = {
    Modality.CHAT: "/v1",
    Modality.VISION: "/v1",
    Modality.IMAGE: "/draw",
    Modality.TRANSCRIPTION: "/hear",
    Modality.EMBEDDING: "/embed",
}

CASES = [
    Case(
        f"huggingface, {modality}",
        ModelSpec(
            f"remote-{modality}",
            modality,
            "huggingface",
            RateCard(free=True),
            settings={"key_env": "MTOR_TEST_KEY", "url": place},
        ),
        HuggingFaceService,
        streams=place == "/v1",
    )
    for modality, place in PLACES.items()
]
