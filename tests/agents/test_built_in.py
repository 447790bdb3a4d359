"""An agent, a personal realm that its first call starts, and the built-in models."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp_types import AudioContent, ImageContent

from mtor_kernel.locate import RuntimeFile, data_dir
from mtor_kernel.protocol.media import Wav
from tests.agents.hosts import command, words
from tests.personal import end_realms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """No realm yet; the one that starts has the weights of the user who runs the tests."""
    weights = data_dir() / "models"
    if not all(any(weights.glob(f"{name}/*")) for name in ("smollm2", "whisper-tiny-en")):
        pytest.skip("needs the weights: run `mtor pull smollm2 whisper-tiny-en`")
    data = tmp_path / "data"
    data.mkdir()
    (data / "models").symlink_to(weights)
    runtime = tmp_path / "runtime"
    yield {"MTOR_DATA": os.fspath(data), "JUPYTER_RUNTIME_DIR": os.fspath(runtime)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", os.fspath(runtime))
        patch.setenv("MTOR_DATA", os.fspath(data))
        end_realms(RuntimeFile())


@pytest.mark.asyncio
async def test_an_agent_reads_hears_speaks_and_draws(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async with Client(command(environment, "--root", str(tmp_path))) as agent:
        with anyio.fail_after(240):
            asked = await agent.call_tool(
                "ask", {"prompt": "What do bees make?", "max_tokens": 40, "seed": 1}
            )
            assert "honey" in words(asked).lower()
            spoken = await agent.call_tool("speak", {"text": "The quick brown fox."})
            (sound,) = [one for one in spoken.content if isinstance(one, AudioContent)]
            (tmp_path / "fox.wav").write_bytes(base64.b64decode(sound.data))
            assert Wav.of((tmp_path / "fox.wav").read_bytes()).seconds > 0.5
            heard = await agent.call_tool("transcribe", {"sound": "fox.wav"})
            assert "brown fox" in words(heard).lower()
            drawn = await agent.call_tool("imagine", {"prompt": "red heart", "seed": 1})
            (picture,) = [one for one in drawn.content if isinstance(one, ImageContent)]
            (tmp_path / "heart.png").write_bytes(base64.b64decode(picture.data))
            seen = await agent.call_tool("see", {"pictures": ["heart.png"], "details": True})
            assert words(seen)
            assert not seen.is_error
