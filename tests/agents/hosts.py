"""An agent's host: the real client of the package ``mcp``, which starts ``mtor mcp`` itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from tests.realms import TOKEN, SmallRealm


def host(small: SmallRealm, *words: str, mode: str = "auto", token: str = TOKEN) -> Client:
    """Return a client that starts the server on a realm; as a context it runs.

    The package hands a server hardly anything of the environment, as hosts do.
    """
    environment = {"MTOR_URL": small.url, "MTOR_TOKEN": token}
    return Client(command(environment, *words), mode=mode)


def command(environment: dict[str, str], *words: str) -> StdioServerParameters:
    """How a host is told to start the server."""
    here = os.environ.get("PYTHONPATH", os.fspath(Path(__file__).parent.parent.parent))
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "mtor_kernel.cli", "mcp", *words],
        env={"PYTHONPATH": here, **environment},
    )


def words(result: CallToolResult) -> str:
    """The words of a result."""
    return "\n".join(one.text for one in result.content if isinstance(one, TextContent))
