"""A small realm in a thread, with models that go wrong in the ways a map must bear."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mtor_kernel.client import Realm
from tests.client.mapping.clerk import ClerkBackend
from tests.client.mapping.moods import MoodBackend
from tests.kernel.elsewhere import MORE, RealmElsewhere
from tests.led import LED, led
from tests.plugins import register
from tests.realms import CATALOGUE, TOKEN

#: A chain whose first model has moods.
CHAIN = CATALOGUE.replace("[aliases]\n", '[aliases]\npatient = ["moody", "echo"]\n')

MOODY = """
[[models]]
name = "moody"      # some words put it in a mood
modality = "chat"
backend = "moods"
slots = 4
context_tokens = 1000
default_max_tokens = 10
rates = { query_micro = 100, output_token_micro = 5 }
"""

MODELS = """
[[models]]
name = "halting"    # the first two questions get no answer
modality = "chat"
backend = "echo"
slots = 8
rates = { output_token_micro = 5 }
settings = { hang = true, fail_first = 2 }

[[models]]
name = "clerk"      # fills in a form at the second try
modality = "chat"
backend = "clerk"
rates = { query_micro = 7 }

[[models]]
name = "formless"   # takes no schema
modality = "chat"
backend = "clerk"
rates = { query_micro = 7 }
settings = { refuse = true }

[[models]]
name = "stubborn"
modality = "chat"
backend = "clerk"
rates = { query_micro = 7 }
settings = { stubborn = 2 }

[[models]]
name = "eye"
modality = "vision"
backend = "echo"
rates = { output_token_micro = 5 }

[[models]]
name = "vectors"
modality = "embedding"
backend = "echo"
rates = { input_token_micro = 1 }
settings = { dimensions = 3 }

[[models]]
name = "brush"
modality = "image"
backend = "echo"
rates = { image_micro = 5 }
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    folder = tmp_path_factory.mktemp("realm")
    with pytest.MonkeyPatch.context() as path, led(folder):
        register(folder / "plugins", path, clerk=ClerkBackend, moods=MoodBackend)
        realm = RealmElsewhere(folder / "data", CHAIN + MORE + MODELS + MOODY + LED)
        yield realm
        realm.close()


@pytest.fixture
def realm(elsewhere: RealmElsewhere) -> Iterator[Realm]:
    with Realm(elsewhere.small.url, TOKEN) as realm:
        yield realm
