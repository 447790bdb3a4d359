"""The MCP server: what an agent calls becomes a query, and its answer MCP's content."""

from __future__ import annotations

import logging
from typing import Any

import anyio
from mcp.server import Server, ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)

from mtor_kernel._version import __version__
from mtor_kernel.agents.content import answered, looked, refused
from mtor_kernel.agents.files import Roots
from mtor_kernel.agents.progress import Telling
from mtor_kernel.agents.tools import TOOLS, Asking, Looking, called
from mtor_kernel.client.aio import RealmClient
from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.errors import RealmError

INSTRUCTIONS = (
    "The tools of an MTOR realm: models that its people share through one fair queue. What you "
    "ask is asked in your person's name, waits its turn, costs their credits and counts towards "
    "their quotas; a refusal says what to do. `models` says what there is, `queue` how long a "
    "wait would be; both cost nothing. Cancel a call that you no longer need."
)
_CRASHED = (
    "MTOR failed at this in a way it did not expect. The log of `mtor mcp`, on its standard "
    "error, says how."
)

_log = logging.getLogger(__name__)


def make_server(realm: RealmClient, roots: Roots) -> Server[Any]:
    """Return the server of the tools, over any transport, on the realm of a client."""

    async def call(
        context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        async def report(progress: float, total: float | None, message: str) -> None:
            await context.session.report_progress(progress, total, message)

        try:
            tool = called(params.name, params.arguments)
            if isinstance(tool, Looking):
                return looked(await tool.look(realm))
            assert isinstance(tool, Asking)
            reply = await _asked(realm, roots, tool, Telling(report))
            return await answered(realm, reply, tool.wants_details)
        except RealmError as error:
            return refused(error)
        except Exception:  # noqa: BLE001 whatever a call runs into ends that call only
            _log.exception("the call of the tool %r failed", params.name)
            return refused(RealmError(_CRASHED))

    return Server(
        "mtor",
        title="MTOR",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=_list,
        on_call_tool=call,
    )


async def _list(
    context: ServerRequestContext[Any], params: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(
        tools=[
            Tool(
                name=name,
                description=kind.description(),
                input_schema=kind.schema(),
                annotations=ToolAnnotations(
                    read_only_hint=issubclass(kind, Looking),
                    destructive_hint=False,
                    open_world_hint=False,
                ),
            )
            for name, kind in TOOLS.items()
        ]
    )


async def _asked(realm: RealmClient, roots: Roots, tool: Asking, telling: Telling) -> Reply:
    """Ask, tell how it goes, and return the answer. When this is cancelled, so is the query."""
    await telling.say("Looking for the realm.")
    # Looking fails at once where no realm answers; asking would try for a minute.
    await realm.me()
    running = await realm.submit(await tool.query(realm, roots))
    try:
        async for event in running.events():
            await telling.heard(event)
        return await running.answer()
    finally:
        # The cancelled scope of the call would cut the wait for the cancel short as well.
        with anyio.CancelScope(shield=True):
            await running.cancel()
