"""``mtor mcp``: the realm as tools of an agent."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="FOLDER",
        help="pictures and sounds below it may be read; may be repeated (default: none may)",
    )
    parser.add_argument(
        "--http",
        type=int,
        metavar="PORT",
        help="serve HTTP on this port of loopback in place of stdin and stdout; 0: any free one. "
        "The token is that of MTOR_MCP_TOKEN",
    )


def run(given: argparse.Namespace) -> int:
    """Serve until the agent hangs up."""
    from mtor_kernel.locate import find_or_start
    from mtor_kernel.protocol.errors import Unavailable

    try:
        from mtor_kernel.agents.serving import serve_http, serve_stdio
    except ImportError as error:
        raise Unavailable(
            f"`mtor mcp` needs the package {error.name}: install it with "
            "`pip install 'mtor-kernel[mcp]'`."
        ) from None
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    if given.http is None:
        asyncio.run(serve_stdio(find_or_start, given.root))
    else:
        asyncio.run(serve_http(find_or_start, given.http, given.root, _announce))
    return 0


def _announce(url: str) -> None:
    print(f"Serving MCP at {url}; its token is that of MTOR_MCP_TOKEN.", file=sys.stderr)
