"""Whatever arrives, the codec gives a value of the asked type or says what to mend."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.codec import (
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    decode,
    encode,
    nests_deeper,
)
from mtor_kernel.protocol.errors import BadInput, Malformed, TooLarge
from mtor_kernel.protocol.link import WorkerNGram
from mtor_kernel.protocol.ngram import ClientNGram, Hello, Resume, Submit
from mtor_kernel.protocol.query import Query

QUERY = "0" * 32
ASKING = b'{"op":"submit","key":"k","query":{"messages":[{"role":"user","parts":[%s]}]}}'


def test_what_is_encoded_is_decoded() -> None:
    submit = Submit("key", Query.ask("Why?", temperature=0.5, stop=["\n"]), "7")
    assert decode(encode(submit), ClientNGram) == submit


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[]",
        b'"hello"',
        b"{",
        b"\xff\xfe",
        b'{"op":"hello"} trailing',
        b'{"op":"nothing"}',
        b'{"op":["hello"]}',
        b'{"op":null}',
        b"{}",
        b'{"op":"hello","user":"root"}',
        b'{"op":"hello","id":7}',
        b'{"op":"cancel","query":"../../etc/passwd"}',
        b'{"op":"cancel"}',
        b'{"op":"cancel","query":"%s\\n"}' % QUERY.encode(),
        b'{"op":"resume","query":"%s","seq":-1}' % QUERY.encode(),
        b'{"op":"resume","query":"%s","seq":1e999}' % QUERY.encode(),
        b'{"op":"resume","query":"%s","seq":9007199254740992}' % QUERY.encode(),
        b'{"op":"resume","query":"%s","seq":%s}' % (QUERY.encode(), b"9" * 5000),
        b'{"op":"resume","query":"%s","seq":true}' % QUERY.encode(),
        b'{"op":"resume","query":"%s","seq":1.5}' % QUERY.encode(),
        b'{"op":"submit","key":"k","query":{"messages":[]}}',
        b'{"op":"submit","key":"has blanks","query":{"messages":[]}}',
        ASKING.replace(b'"k"', b'"k\\n"') % b'{"type":"text","text":"a"}',
        ASKING % b'{"type":"image","blob":"%s","mime":"image/png\\n"}' % (b"0" * 64),
        b'{"op":"submit","key":"k","query":{"messages":[{"role":"root","parts":[]}]}}',
        ASKING % b'{"type":"text","text":"\\ud800"}',
        ASKING % b'{"type":"data","value":NaN}',
    ],
)
def test_what_is_no_ngram_is_refused(frame: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        decode(frame, ClientNGram)
    assert refused.value.message


def test_a_last_newline_is_all_that_was_wrong() -> None:
    text = b'{"type":"text","text":"a"}'
    image = b'{"type":"image","blob":"%s","mime":"image/png"}' % (b"0" * 64)
    for frame in (ASKING % text, ASKING % image):
        assert isinstance(decode(frame, ClientNGram), Submit)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Malformed):
        decode('{"op":"hello","client":"\ud800"}', ClientNGram)


def test_a_frame_over_the_limit_is_refused_before_it_is_parsed() -> None:
    frame = b"[" * (MAX_FRAME_BYTES + 1)
    with pytest.raises(TooLarge) as refused:
        decode(frame, ClientNGram)
    assert refused.value.details == {"limit": MAX_FRAME_BYTES, "used": len(frame)}


def nested(depth: int) -> bytes:
    """Return a submission whose data nests `depth` levels below its own six."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    parts = [{"type": "data", "value": value}]
    query = {"messages": [{"role": "user", "parts": parts}]}
    return json.dumps({"op": "submit", "key": "k", "query": query}).encode()


def test_what_nests_too_deep_is_refused_and_what_does_not_is_taken() -> None:
    own = 6
    assert decode(nested(MAX_DEPTH - own), ClientNGram)
    with pytest.raises(Malformed, match="nests deeper"):
        decode(nested(MAX_DEPTH - own + 1), ClientNGram)
    with pytest.raises(Malformed):
        decode(b"[" * 100_000, ClientNGram)


def test_brackets_in_words_are_no_depth() -> None:
    query = Query.ask('[{"\\' * 500)
    assert decode(encode(Submit("k", query)), ClientNGram) == Submit("k", query)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(frame: bytes) -> None:
    for kind in (ClientNGram, WorkerNGram):
        with contextlib.suppress(BadInput):
            assert isinstance(decode(frame, kind), msgspec.Struct)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def levels(value: object) -> int:
    """Count the levels of a value, the plain way."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(levels, inner), default=0)


spiteful = st.text('a"[]{}\\', max_size=5)
nesting = st.recursive(
    st.none() | spiteful,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(spiteful, inner, max_size=3),
    max_leaves=12,
)


@given(nesting, st.integers(0, 6))
def test_levels_are_counted_alike_whatever_stands_in_strings(value: object, depth: int) -> None:
    for frame in (json.dumps(value).encode(), json.dumps(value, indent=1).encode()):
        assert nests_deeper(frame, depth) is (levels(value) > depth)


@given(st.dictionaries(st.sampled_from(["op", "id", "query", "key", "seq", "x"]), json_values))
def test_no_json_makes_it_raise_anything_else(value: dict[str, object]) -> None:
    with contextlib.suppress(BadInput):
        assert isinstance(decode(json.dumps(value), ClientNGram), msgspec.Struct)


def test_defaults_are_not_sent() -> None:
    assert encode(Hello()) == b'{"op":"hello"}'
    assert json.loads(encode(Resume(QUERY))) == {"op": "resume", "query": QUERY}


def test_many_threads_may_decode_a_type_for_the_first_time_at_once() -> None:
    program = """
import sys, threading
sys.setswitchinterval(1e-6)
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.task import Outcome
frame = encode(Outcome(AttemptRef("0" * 32, 1, 1)))
together = threading.Barrier(8)
def go():
    together.wait()
    decode(frame, Outcome)
threads = [threading.Thread(target=go) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
