"""OpenAI's dialect, there and back, without a realm."""

import base64
import contextlib
import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.gateway.openai_answers import Form, finish
from mtor_kernel.gateway.openai_forms import ChatRequest, param_of, translate
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import BadInput, RealmError, TooLarge, UnknownModel, UnknownOption
from mtor_kernel.protocol.query import Image, Query, Text

PIXEL = b"\x89PNG\r\n\x1a\n and the rest"
DATA_URL = "data:image/png;base64," + base64.b64encode(PIXEL).decode()


def request(**fields: Any) -> ChatRequest:
    given = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]} | fields
    return decode(encode(given), ChatRequest)


def asked(**fields: Any) -> Query:
    return translate(request(**fields)).query


def turns(*messages: dict[str, Any]) -> Query:
    return asked(messages=list(messages))


def test_the_least_that_one_may_say() -> None:
    assert asked() == Query.ask("hello", "echo")


def test_roles_are_kept_and_developers_are_the_system() -> None:
    query = turns(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Who"}, {"type": "text", "text": "?"}],
        },
    )
    roles = [message.role for message in query.messages]
    assert roles == ["system", "system", "user", "assistant", "user"]
    assert query.messages[-1].parts == (Text("Who"), Text("?"))


def test_options_are_carried_over() -> None:
    options = asked(
        temperature=0.5, top_p=0.9, seed=7, stop=["a", "b"], max_completion_tokens=9, user="ann"
    ).options
    assert (options.temperature, options.top_p, options.seed) == (0.5, 0.9, 7)
    assert (options.stop, options.max_tokens) == (("a", "b"), 9)


def test_a_null_is_as_good_as_nothing() -> None:
    nulls = dict.fromkeys(("temperature", "top_p", "seed", "stop", "max_tokens", "n", "tools"))
    assert asked(**nulls, stream=None, response_format=None) == asked()


def test_one_stop_may_stand_alone() -> None:
    assert asked(stop="END").options.stop == ("END",)
    assert asked(stop=[]).options.stop == ()


@pytest.mark.parametrize("seed", [-1, 2**40 + 5, -(2**63)])
def test_a_seed_of_64_bits_is_a_seed_of_ours(seed: int) -> None:
    assert asked(seed=seed).options.seed == seed % 2**32


def test_the_newer_name_of_the_limit_wins() -> None:
    assert asked(max_tokens=5).options.max_tokens == 5
    assert asked(max_tokens=5, max_completion_tokens=6).options.max_tokens == 6


def test_what_is_not_known_is_ignored() -> None:
    many = {"store": True, "metadata": {"a": "b"}, "service_tier": "auto", "tool_choice": "none"}
    assert asked(**many, parallel_tool_calls=False, tools=[], frequency_penalty=0) == asked()


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert asked(response_format=form).options.json_schema == schema
    assert asked(response_format={"type": "json_object"}).options.json_schema == {"type": "object"}
    assert asked(response_format={"type": "text"}).options.json_schema is None


def test_a_picture_becomes_a_blob() -> None:
    done = translate(
        request(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
                    ],
                }
            ]
        )
    )
    blob = hashlib.sha256(PIXEL).hexdigest()
    assert done.query.messages[0].parts == (Text("What is this?"), Image(blob, "image/png"))
    assert done.pictures[blob].content == PIXEL
    assert done.query.blobs == {blob}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://evil.example/cat.png", "fetches nothing"),
        ("file:///etc/passwd", "fetches nothing"),
        ("http://169.254.169.254/", "fetches nothing"),
        ("data:text/html;base64,PGI+", "fetches nothing"),
        ("data:image/png,raw", "fetches nothing"),
        ("", "fetches nothing"),
        ("data:image/png;base64,***", "base64"),
        ("data:image/png;base64,YQ", "base64"),
        ("data:image/png;base64,", "empty"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(url: str, why: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(BadInput, match=why) as refused:
        turns({"role": "user", "content": [part]})
    assert refused.value.details["param"] == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": "GPT-4"}, UnknownModel, "model"),
        ({"model": ""}, UnknownModel, "model"),
        ({"model": "a\u0000b"}, UnknownModel, "model"),
        ({"n": 2}, UnknownOption, "n"),
        ({"n": 0}, UnknownOption, "n"),
        ({"logprobs": True}, UnknownOption, "logprobs"),
        ({"tools": [{"type": "function"}]}, UnknownOption, "tools"),
        ({"functions": [{}]}, UnknownOption, "functions"),
        ({"temperature": 3}, UnknownOption, "temperature"),
        ({"top_p": 0}, UnknownOption, "top_p"),
        ({"max_tokens": 0}, UnknownOption, "max_tokens"),
        ({"max_completion_tokens": -1}, UnknownOption, "max_tokens"),
        ({"stop": ["a"] * 5}, UnknownOption, "stop"),
        ({"stop": [""]}, UnknownOption, "stop[0]"),
        ({"response_format": {"type": "yaml"}}, UnknownOption, "response_format"),
        ({"response_format": {"type": "json_schema"}}, UnknownOption, "response_format"),
        ({"messages": []}, BadInput, "messages"),
        ({"messages": [{"role": "user"}]}, BadInput, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, BadInput, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "4"}]}, BadInput, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "4"}]}, BadInput, "messages[0]"),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]},
            BadInput,
            "messages[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            BadInput,
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            BadInput,
            "messages[0].content[0]",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    fields: dict[str, Any], kind: type[RealmError], param: str
) -> None:
    with pytest.raises(kind) as refused:
        asked(**fields)
    assert refused.value.details["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 4}, "model"),
        ({"model": None}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [["user", "hello"]]}, "messages[0]"),
        ({"messages": [{"role": 1, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": "x"}, "seed"),
        ({"stop": 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"n": "1"}, "n"),
    ],
)
def test_a_wrong_type_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadInput) as refused:
        asked(**fields)
    assert param_of(refused.value.message) == param


def test_too_many_turns_or_parts_are_refused() -> None:
    with pytest.raises(BadInput):
        turns(*[{"role": "user", "content": "x"}] * 1001)
    with pytest.raises(BadInput):
        turns({"role": "user", "content": [{"type": "text", "text": "x"}] * 257})
    with pytest.raises(BadInput):
        turns({"role": "user", "content": []})


def test_words_beyond_a_frame_are_too_large() -> None:
    body = encode(
        {"model": "echo", "messages": [{"role": "user", "content": "x" * MAX_FRAME_BYTES}]}
    )
    with pytest.raises(TooLarge):
        translate(decode(body, ChatRequest, limit=2 * MAX_FRAME_BYTES))


FORM = Form("0" * 32, "echo", 1_700_000_000.5)


def plain(value: Any) -> Any:
    return msgspec.json.decode(encode(value))


def test_a_whole_answer_has_openais_form() -> None:
    answer = plain(FORM.whole("Hi", "stop", Usage(input_tokens=3, output_tokens=2)))
    assert answer == {
        "id": "chatcmpl-" + "0" * 32,
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_a_stream_opens_speaks_and_closes() -> None:
    pieces = [plain(FORM.opening()), plain(FORM.words("Hi")), plain(FORM.closing("length"))]
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hi"}, {}]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None, None, "length"]
    assert all("usage" not in piece for piece in pieces)


def test_usage_comes_last_where_it_was_asked_for() -> None:
    form = Form("0" * 32, "echo", 0, usage=True)
    assert plain(form.words("Hi"))["usage"] is None
    last = plain(form.consumed(Usage(input_tokens=3, output_tokens=2)))
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("ours", "theirs"), [("stop", "stop"), ("length", "length"), ("end_turn", "stop")]
)
def test_their_clients_know_only_some_reasons(ours: str, theirs: str) -> None:
    assert finish(ours) == theirs


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["user", "text", "image_url", DATA_URL, "json_schema"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "url", "text"]), inner)
    ),
    max_leaves=12,
)
FIELDS = [*ChatRequest.__struct_fields__, "user", "tool_choice"]


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_is_sent_becomes_a_query_or_an_error_of_the_tree(said: dict[str, Any]) -> None:
    valid = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
    with contextlib.suppress(RealmError):
        done = translate(decode(json.dumps(valid | said), ChatRequest))
        assert decode(encode(done.query), Query) == done.query
