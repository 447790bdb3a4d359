from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality
from tests.dask_workers.contract import Case
from tests.dask_workers.services.anthropic import AnthropicService

CASES = [
    Case(
        f"anthropic, {modality}",
        ModelSpec(
            f"claude-{modality}",
            modality,
            "anthropic",
            RateCard(free=True),
            settings={"key_env": "MTOR_TEST_KEY", "model": "claude-haiku-5-5"},
        ),
        AnthropicService,
    )
    for modality in (Modality.CHAT, Modality.VISION)
]
