"""The panel's types are those of the protocol."""

import json
from pathlib import Path

from mtor_kernel.protocol.schema import json_schema

WRITTEN = Path(__file__).parents[2] / "labextension" / "ngram.json"


def test_the_schema_that_the_panel_is_made_from_is_the_protocols() -> None:
    # `make ngram` writes it anew; that src/ngram.ts follows from it is checked by `make lint`.
    assert json.loads(WRITTEN.read_text("utf-8")) == json.loads(json.dumps(json_schema()))
