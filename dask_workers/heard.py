"""A recording as samples: decoded within bounds, and cut into pieces in which somebody speaks.

The recording is somebody else's. Only formats that hold sound themselves are opened, none that
names further files or addresses, and decoding stops where the sound is longer than is allowed: a
few kilobytes can hold hours of silence.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from mtor_kernel.protocol.errors import BadInput, TooLarge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

#: Samples a second, as Whisper and its voice activity detection want them.
RATE = 16_000
#: Whisper hears 30 seconds at once; a piece and what is around its speech stay within that.
PIECE_SECONDS = 29.0
_SPEECH_SECONDS = 27.0
#: What is said after a longer silence is a piece of its own, so that no segment spans it.
_APART_SECONDS = 5.0
#: How much is looked through for speech in one go; a cancel waits for that.
_WINDOW_SECONDS = 45.0
#: A shorter pause stays in.
_SILENCE_MS = 500
#: Rates of recordings that are not made to fill the memory: one a second would be a bomb.
_LEAST_RATE, _MOST_RATE = 4_000, 400_000
#: FFmpeg's names of the formats that may be opened.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,ogg,mov,mp4,m4a,matroska,webm,avi,asf,mpegts,"
    "mpeg,flv,wv,ape,tta,voc"
)
_UNREADABLE = (
    "This is no recording that can be read: send WAV, MP3, FLAC, Ogg, M4A, WebM or another common "
    "format."
)


class Piece(NamedTuple):
    """Some speech, its silences cut out."""

    samples: Samples
    #: Where it comes from: first sample and the one after the last, in the whole recording.
    spans: tuple[tuple[int, int], ...]

    @property
    def end(self) -> float:
        """Where it ends in the recording, in seconds."""
        return self.spans[-1][1] / RATE

    def original(self, seconds: float, *, ends: bool = False) -> float:
        """Return the time in the recording of a time in the piece.

        Where a silence was cut out, `ends` says which side of it is meant.
        """
        at = round(seconds * RATE)
        for start, end in self.spans:
            length = end - start
            if at < length or (ends and at == length):
                return (start + at) / RATE
            at -= length
        return self.end


def decode(content: bytes, most_seconds: float, stopped: Callable[[], bool]) -> Samples:
    """Return a recording as samples of one channel, −1 to 1; fewer where it was `stopped`.

    Raises
    ------
    BadInput
        It is no recording, or is damaged from the start.
    TooLarge
        It is longer than `most_seconds`. No more than that was decoded.
    """
    import av
    import numpy as np

    if not content:
        raise BadInput("The recording is empty: send one with sound in it.")
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    most = round(most_seconds * RATE)
    blocks: list[NDArray[np.int16]] = []
    heard = 0
    try:
        with av.open(io.BytesIO(content), options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise BadInput("There is no sound in this file: send a recording.")
            for block in _blocks(container):
                blocks.append(block)
                heard += len(block)
                if heard > most:
                    raise TooLarge(
                        f"The recording is longer than {most_seconds:g} seconds, the most that is "
                        "heard in one query: send it in parts.",
                        limit=round(most_seconds),
                    )
                if stopped():
                    break
    except (av.FFmpegError, UnicodeError):
        raise BadInput(_UNREADABLE) from None
    if not heard:
        raise BadInput("There is no sound in this file: it is damaged, or has none in it.")
    return np.concatenate(blocks).astype(np.float32) / 32768.0


def _blocks(container: Any) -> Iterator[NDArray[np.int16]]:
    """Yield the samples as they are decoded."""
    resampler, before = _resampler(), None
    for frame in _frames(container):
        if not _LEAST_RATE <= frame.sample_rate <= _MOST_RATE:
            raise BadInput(
                f"The recording has {frame.sample_rate:,} samples a second, which nobody can "
                "hear: send it with 8,000 to 192,000."
            )
        form = (frame.sample_rate, frame.format.name, frame.layout.name)
        if before not in (None, form):  # it may change within a file
            yield from _resampled(resampler, None)
            resampler = _resampler()
        before = form
        frame.pts = None  # times that make no sense would be errors
        yield from _resampled(resampler, frame)
    if before:
        yield from _resampled(resampler, None)


def _frames(container: Any) -> Iterator[Any]:
    """Yield what the packets hold; a damaged one is left out."""
    from av import FFmpegError

    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, IndexError):  # damaged for good; the latter is PyAV's own stumble
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def _resampler() -> Any:
    from av import AudioResampler

    return AudioResampler(format="s16", layout="mono", rate=RATE)


def _resampled(resampler: Any, frame: Any) -> Iterator[NDArray[np.int16]]:
    for part in resampler.resample(frame):
        yield part.to_ndarray()[0]


def pieces(samples: Samples) -> Iterator[Piece]:
    """Yield the speech of a recording in pieces of at most :data:`PIECE_SECONDS`."""
    gathered: list[tuple[int, int]] = []
    for span in _speech(samples):
        if gathered and not _fits(gathered, span):
            yield _piece(samples, gathered)
            gathered = []
        gathered.append(span)
    if gathered:
        yield _piece(samples, gathered)


def _fits(gathered: list[tuple[int, int]], span: tuple[int, int]) -> bool:
    length = sum(end - start for start, end in (*gathered, span))
    return length <= PIECE_SECONDS * RATE and span[0] - gathered[-1][1] <= _APART_SECONDS * RATE


def _piece(samples: Samples, spans: list[tuple[int, int]]) -> Piece:
    import numpy as np

    return Piece(np.concatenate([samples[start:end] for start, end in spans]), tuple(spans))


def _speech(samples: Samples) -> Iterator[tuple[int, int]]:
    """Yield where somebody speaks. Looked through bit by bit, so that a cancel need not wait."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=_SILENCE_MS, max_speech_duration_s=_SPEECH_SECONDS)
    begin, size = 0, round(_WINDOW_SECONDS * RATE)
    while begin < len(samples):
        window = samples[begin : begin + size]
        found = [(one["start"], one["end"]) for one in get_speech_timestamps(window, options)]
        following = begin + len(window)
        if following < len(samples) and found:
            start, end = found[-1]
            if start and end > len(window) - RATE:  # it goes on: hear it from its start
                found.pop()
                following = begin + start
        for start, end in found:
            yield begin + start, begin + end
        begin = following
