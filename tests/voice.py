"""What a synthetic voice says, as samples, for the tests of hearing."""

from __future__ import annotations

import functools

import numpy as np

#: Samples a second of :func:`spoken`.
VOICE_RATE = 24_000

SENTENCES = (
    "The ship left the harbour at seven in the morning.",
    "Nobody knew how long the journey would take.",
    "Please bring two bottles of water and a loaf of bread.",
    "She opened the window and looked at the snow.",
    "Why do birds fly south in the winter?",
    "Our train was late because a tree had fallen on the line.",
    "The museum is closed on Mondays, but the garden is open.",
    "He has lived in a small village near the river for twenty years.",
    "Did you remember to lock the door when you left?",
    "A computer can play chess better than any person.",
    "The doctor told him to sleep more and to worry less.",
    "In the evening we cooked soup and listened to music.",
)
STORY = " ".join(SENTENCES)


@functools.cache
def _voice() -> object:
    from hibari import Hibari

    return Hibari(voice="heart", threads=1)


@functools.cache
def spoken(text: str) -> np.ndarray:
    """Samples of 16 bits, :data:`VOICE_RATE` a second."""
    waves = _voice()(text, seed=1)  # type: ignore[operator]  # the library has no types
    return (np.clip(waves, -1, 1) * 32767).astype(np.int16)
