from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case
from tests.dask_workers.services.openai import OpenAIService

STREAMED = {Modality.CHAT, Modality.VISION}

CASES = [
    Case(
        f"openai_compatible, {modality}",
        ModelSpec(
            f"remote-{modality}",
            modality,
            "openai_compatible",
            RateCard(free=True),
            settings={"key_env": "MTOR_TEST_KEY", "model": "babble-1"},
        ),
        OpenAIService,
        streams=modality in STREAMED,
    )
    for modality in Modality
    if modality is not Modality.API
]
