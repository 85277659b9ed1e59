"""A well-behaved MCP server on the official SDK: `friendly.py` on stdin and stdout, `friendly.py PORT` over HTTP.

Port 0 stands for any.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading

import uvicorn
from mcp.server import MCPServer
from mcp_types import ImageContent, TextContent

server = MCPServer("friendly")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(structured_output=False)
def echo(text: str, times: int = 1) -> str:
    """Say a text again."""
    return text * times


@server.tool()
def boom() -> str:
    """Always fails."""
    raise ValueError("bad input")


@server.tool()
async def sleep(seconds: float) -> str:
    """Answers late."""
    await asyncio.sleep(seconds)
    return "awake"


@server.tool(structured_output=False)
def picture() -> list[TextContent | ImageContent]:
    """A text and an image."""
    return [TextContent(type="text", text="a dot"), ImageContent(type="image", data="AA==", mime_type="image/png")]


@server.tool(structured_output=False)
def variables() -> str:
    """Names of the environment variables."""
    return " ".join(sorted(os.environ))


@server.tool()
def die() -> str:
    """Ends the server."""
    os._exit(3)


def serve_http(port: int) -> None:
    """Prints the port that it listens on; ends with the process that started it, which holds its stdin."""
    listening = socket.create_server(("127.0.0.1", port))
    print(listening.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="critical")).run([listening])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_http(int(sys.argv[1]))
    else:
        server.run()
