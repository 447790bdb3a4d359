"""The exported schema says what the codec does."""

from typing import Any

import jsonschema
import msgspec
import pytest
from jsonschema import Draft202012Validator

from mtor_kernel.protocol import codec, link, ngram, schema
from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import QuotaExceeded
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.query import Data, Image, Query
from mtor_kernel.protocol.views import LaneInfo, ServedInfo, WorkerInfo

ID = "0" * 32
BLOB = "a" * 64
ATTEMPT = link.AttemptRef(ID, 1, 3)
REFUSAL = QuotaExceeded("Wait.", rule="queries_per_minute", limit=3, used=3).info()
EXAMPLES: dict[str, list[msgspec.Struct]] = {
    "ClientNGram": [
        ngram.Hello("1", "a test"),
        ngram.Submit("key", Query.ask("What is a realm?", temperature=0.5, stop=["."]), "2"),
        ngram.SubmitAll((ngram.Submit("key", Query.ask("Why?"), "2"),), "3"),
        ngram.Cancel(ID),
        ngram.Resume(ID, 2, 40),
        ngram.Watch(),
        ngram.Unwatch(),
    ],
    "RealmNGram": [
        ngram.Welcome("ann", Role.SYSOP, 3, "0.1", codec.MAX_FRAME_BYTES),
        ngram.Admitted(ID, "smollm2", 20, "2", repeated=True),
        ngram.Refused(REFUSAL, "2"),
        ngram.Queued(ID, 4, 2.5),
        ngram.Started(ID, 1),
        ngram.Progress(ID, 1, 0.5, "half", b"\x89PNG"),
        ngram.Chunk(ID, 1, 0, 5, "words"),
        ngram.Chunk(ID, 1, 5, 6, part=Image(BLOB)),
        ngram.Chunk(ID, 1, 6, 7, part=Data([0.5, {"box": [1, 2]}])),
        ngram.Requeued(ID, 2, "its worker was lost"),
        ngram.Settled(ID, 2, "smollm2", Charge(7, Usage(input_tokens=3)), "stop", 1.5, 1.0),
        ngram.Failed(ID, REFUSAL),
        ngram.Cancelled(ID, Charge(7)),
        ngram.RealmState(
            (LaneInfo("smollm2", 1, 2, 3),), (WorkerInfo("w", "well", (ServedInfo("smollm2"),)),)
        ),
        ngram.Notice("Down at noon.", "warning"),
        ngram.Error(REFUSAL, "3", ID),
        ngram.Several((ngram.Started(ID, 1), ngram.Chunk(ID, 1, 0, 5, "words"))),
    ],
    "WorkerNGram": [
        link.WorkerHello("w", "tls://127.0.0.1:1", (link.Served("smollm2"),), 2, "0.1"),
        link.Beat((ATTEMPT,), 1 << 30, 99.5),
        link.WorkerChunk(ID, 1, 3, 0, "words"),
        link.WorkerProgress(ID, 1, 3, 0.25, "a quarter"),
        link.WorkerOutcome(ID, 1, 3, 5, Usage(output_tokens=2)),
        link.WorkerOutcome(ID, 1, 3, 0, error=REFUSAL, retryable=True),
        link.WorkerOutcome(ID, 1, 3, 5, text="words"),
        link.WorkerSeveral(
            (link.WorkerChunk(ID, 1, 3, 0, "words"), link.WorkerOutcome(ID, 1, 3, 5))
        ),
        link.Health((link.Served("smollm2", 1, trouble="no memory"),)),
        link.Bye("going home"),
    ],
    "LinkNGram": [
        link.Stop(ID, 1),
        link.Load("smollm2"),
        link.Unload("smollm2"),
        link.Drain(on=False),
    ],
}
CASES = [
    pytest.param(union, example, id=f"{union}-{type(example).__name__}")
    for union, examples in EXAMPLES.items()
    for example in examples
]


def validator(name: str) -> Draft202012Validator:
    """What checks a value against one of the schema's definitions."""
    document = schema.json_schema()
    return Draft202012Validator(document | {"$ref": f"#/$defs/{name}"})


def test_it_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(schema.json_schema())


def test_every_reference_leads_somewhere() -> None:
    document = schema.json_schema()
    text = codec.encode(document).decode()
    named = {ref.split('"')[0] for ref in text.split('"#/$defs/')[1:]}
    assert named <= set(document["$defs"])


@pytest.mark.parametrize(("union", "example"), CASES)
def test_what_is_encoded_matches_the_schema(union: str, example: msgspec.Struct) -> None:
    validator(union).validate(msgspec.json.decode(codec.encode(example)))


@pytest.mark.parametrize("union", EXAMPLES)
def test_every_ngram_has_an_example_here(union: str) -> None:
    members = set(schema.UNIONS[union].__args__)
    assert {type(example) for example in EXAMPLES[union]} == members


@pytest.mark.parametrize(
    "said",
    [
        {"op": "warp", "speed": 9},
        {"op": "cancel", "query": "not an id"},
        {"op": "submit", "key": "k", "query": {"messages": []}},
        {"op": "watch", "loudly": True},
        {"op": "resume", "query": ID, "seq": -1},
    ],
)
def test_what_the_codec_refuses_the_schema_refuses(said: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator("ClientNGram").validate(said)
    with pytest.raises(Exception, match="valid message"):
        codec.decode(codec.encode(said), ngram.ClientNGram)
