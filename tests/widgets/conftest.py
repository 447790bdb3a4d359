"""A realm with every modality, and a kernel's realm that speaks to it."""

from collections.abc import Iterator

import pytest

from mtor_kernel.client import Realm
from tests.kernel.elsewhere import MORE, RealmElsewhere
from tests.led import LED, led
from tests.modalities import MODALITIES
from tests.realms import TOKEN

#: Answers in twenty pieces.
SLOW = """
[[models]]
name = "slow"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = { output_token_micro = 5 }
settings = { chunks = 20, rate = 50.0 }
"""


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    folder = tmp_path_factory.mktemp("realm")
    with led(folder):
        made = RealmElsewhere(folder, MODALITIES + MORE + SLOW + LED)
        made.run(made.small.ready())
        yield made
        made.close()


@pytest.fixture
def realm(elsewhere: RealmElsewhere) -> Iterator[Realm]:
    with Realm(elsewhere.small.url, TOKEN) as one:
        yield one
