from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case
from tests.dask_workers.services.ollama import OllamaService

CASES = [
    Case(
        f"ollama, {modality}",
        ModelSpec(
            f"remote-{modality}",
            modality,
            "ollama",
            RateCard(free=True),
            settings={"key_env": "MTOR_TEST_KEY", "model": model},
        ),
        OllamaService,
        streams=modality is not Modality.EMBEDDING,
    )
    for modality, model in {
        Modality.CHAT: "llama3.2:3b",
        Modality.VISION: "llava",
        Modality.EMBEDDING: "nomic-embed-text",
    }.items()
]
