"""Recordings as they come: any format, any damage, any length, and no way to another file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dask_workers.heard import RATE, Piece, decode, pieces
from mtor_kernel.protocol.errors import BadInput, TooLarge
from tests.recordings import encoded, joined, silence, tone


def heard(content: bytes, most: float = 60, stopped: Callable[[], bool] = lambda: False) -> float:
    """Seconds of sound in a recording."""
    return len(decode(content, most, stopped)) / RATE


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 8_000),
        ("mp3", "libmp3lame", 22_050),
        ("flac", "flac", 44_100),
        ("ogg", "libopus", 48_000),
        ("mp4", "aac", 44_100),
        ("webm", "libopus", 48_000),
        ("adts", "aac", 22_050),
        ("amr", "libopencore_amrnb", 8_000),
    ],
)
def test_any_common_format_is_read(form: str, codec: str, rate: int) -> None:
    samples = decode(encoded(tone(2, rate), rate, form, codec), 60, lambda: False)
    assert len(samples) / RATE == pytest.approx(2, abs=0.15)
    assert 0.1 < np.abs(samples).max() < 0.5


def test_two_channels_become_one() -> None:
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(np.repeat(tone(1), 2).tobytes())
    assert heard(file.getvalue()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"This is a text, and no recording.\n" * 100,
        b"\0" * 10_000,
        bytes(range(256)) * 50,
        encoded(tone(1))[:30],
        (Path(__file__).parents[2] / "docs/images/first-query.png").read_bytes(),
    ],
    ids=["nothing", "text", "zeros", "anything", "half a header", "a picture"],
)
def test_what_is_no_recording_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"recording|sound"):
        heard(content)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na={}\n",
    ],
    ids=["HLS", "concat", "SDP"],
)
def test_a_recording_cannot_name_another_file_or_address(playlist: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encoded(tone(1)))
    with pytest.raises(BadInput):
        heard(playlist.format(secret).encode())


def test_a_damaged_middle_costs_no_more_than_itself() -> None:
    whole = bytearray(encoded(tone(10, 22_050), 22_050, "mp3", "libmp3lame"))
    middle = len(whole) // 2
    whole[middle : middle + 400] = b"\x55" * 400
    assert heard(bytes(whole)) > 8


def test_whatever_is_damaged_is_heard_in_part_or_refused_in_a_sentence() -> None:
    draw = random.Random(1)
    whole = [
        encoded(tone(1, rate), rate, form, codec)
        for form, codec, rate in [
            ("wav", "pcm_s16le", 16_000),
            ("mp4", "aac", 44_100),
            ("mpegts", "mp2", 44_100),
            ("webm", "libopus", 48_000),
        ]
    ]
    refused = 0
    for _ in range(200):
        content = bytearray(draw.choice(whole))
        for _ in range(draw.choice((3, 20, 200))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            heard(bytes(content))
        except BadInput:
            refused += 1
    assert 0 < refused < 200


def test_a_file_that_breaks_off_is_heard_as_far_as_it_goes() -> None:
    whole = encoded(tone(4))
    assert heard(whole[: len(whole) // 2]) == pytest.approx(2, abs=0.1)


def test_hours_of_silence_in_a_small_file_are_not_decoded() -> None:
    bomb = encoded(silence(3600, 8000), 8000, "flac", "flac")
    assert len(bomb) < 1_000_000
    asked = []

    def count() -> bool:
        asked.append(1)
        return False

    with pytest.raises(TooLarge, match="longer than 60 seconds") as refused:
        heard(bomb, 60, count)
    assert refused.value.details == {"limit": 60}
    assert len(asked) < 1000  # of fifty thousand blocks


def test_one_sample_a_second_is_refused_before_it_is_blown_up() -> None:
    with pytest.raises(BadInput, match="1 samples a second"):
        heard(encoded(silence(100, 16), 16).replace(b"\x10\0\0\0\x20\0\0\0", b"\1\0\0\0\2\0\0\0"))


def test_a_cancel_stops_the_decoding() -> None:
    assert heard(encoded(tone(50)), stopped=lambda: True) < 1


def test_times_in_a_piece_are_times_of_the_recording() -> None:
    piece = Piece(np.zeros(5 * RATE, np.float32), ((RATE, 3 * RATE), (10 * RATE, 13 * RATE)))
    assert piece.original(0) == 1
    assert piece.original(1.5) == 2.5
    assert piece.original(2) == 10
    assert piece.original(2, ends=True) == 3
    assert piece.original(4) == 12
    assert piece.original(5, ends=True) == piece.end == 13


@pytest.mark.slow
def test_silence_holds_no_piece() -> None:
    pytest.importorskip("faster_whisper")
    assert list(pieces(np.zeros(100 * RATE, np.float32))) == []
    assert list(pieces((joined(tone(100)) / 32768).astype(np.float32))) == []
