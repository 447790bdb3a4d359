"""A picture goes from a client through a realm to the built-in sight, and comes back as words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Data
from tests.pictures import CARD, card, encoded, photograph
from tests.realms import small_realm

pytestmark = pytest.mark.slow

CATALOGUE = """
[aliases]
vision = ["sight"]

[[models]]
name = "sight"
modality = "vision"
backend = "sight"
rates = { query_micro = 200 }
"""


@pytest.mark.asyncio
async def test_a_picture_is_uploaded_looked_at_and_paid(tmp_path: Path) -> None:
    async with small_realm(tmp_path, catalogue=CATALOGUE) as small, small.client() as realm:
        read = await realm.see(card(), "What does it say?")
        assert all(line in read.text for line in CARD)
        assert read.charge.amount_micro == 200
        seen = await realm.see(photograph("cat"))
        assert seen.text.startswith("There is a cat on the picture.")
        found = seen.parts[-1]
        assert isinstance(found, Data)
        assert found.value["objects"][0]["label"] == "cat"
        with pytest.raises(BadInput, match="damaged"):
            await realm.see(encoded(card())[:2000])
