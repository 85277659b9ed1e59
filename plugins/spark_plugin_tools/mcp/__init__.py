"""`mcp`: the tools of an MCP server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, model_validator

from spark_framework.api import (
    ComponentConfig,
    ConfigError,
    Tool,
    ToolContext,
    ToolError,
    Toolset,
    UserError,
    arguments_from_schema,
    hookimpl,
)

from .server import Address, Definition, ServerError, digest, shortened_line

if TYPE_CHECKING:
    from .bridge import Bridge

MAX_TOOLS = 64
MAX_DESCRIPTION = 300
"""Characters of a description that a policy reads; they come from third parties."""
MAX_NAME = 64
MAX_REPLY = 4000
"""Characters kept of a reply; more than any policy is shown."""


class Mcp(Toolset):
    """Starts a command that speaks MCP on stdin and stdout, or connects to a URL (streamable HTTP).

    A server may do anything that a program may, so nothing that it announces is trusted: descriptions are cut, replies
    bounded, schemas never fetched, their patterns never run, and `pin` refuses a server whose tools have changed. A
    lost connection is re-established once a call, and the call that lost it is repeated.
    """

    name = "mcp"
    description = "The tools of an MCP server, started by a command or reached at a URL."

    class Config(ComponentConfig):
        command: tuple[str, ...] = ()
        """The server's program and its arguments; or give `url`."""
        url: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+([/?#]\S*)?$")
        """The server's address; or give `command`."""
        env: tuple[str, ...] = ()
        """Names of the variables that the command gets in addition to PATH, HOME and the like."""
        token_env: str | None = None
        """Name of the variable with the bearer token for the URL."""
        include: tuple[str, ...] = ()
        """The server's own names of the tools to take, in this order; empty: all, by name."""
        prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,32}$")
        """Prefix of each name, for names that clash with another server's."""
        timeout: float = Field(default=20.0, gt=0, le=3600)
        """Seconds for connecting, and for one call."""
        pin: str | None = None
        """Digest of the tools taken: names, descriptions and schemas. A server with another digest is refused."""

        @model_validator(mode="after")
        def _one_address(self) -> Mcp.Config:
            if bool(self.command and self.command[0]) == bool(self.url):
                raise ValueError("give either `command` or `url`")
            if self.env and not self.command:
                raise ValueError("`env` belongs to `command`; a URL takes `token_env`")
            if self.token_env and not self.url:
                raise ValueError("`token_env` belongs to `url`; a command takes `env`")
            return self

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._bridge: Bridge | None = None
        self._tools: tuple[Tool, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """Both for a command: the framework cannot know what it does."""
        return frozenset({"network"} if self.config.url else {"network", "filesystem"})

    def prepare(self) -> None:
        self.tools()

    def tools(self) -> Sequence[Tool]:
        """Connect, if not yet connected.

        Raises:
            UserError: the server cannot be reached, or its tools cannot be used.
        """
        with self._lock:
            if self._bridge is None:
                self._tools = self._connected()
            return self._tools

    def _connected(self) -> tuple[Tool, ...]:
        try:
            from .bridge import Bridge
        except ImportError as exc:
            raise UserError(f"tool mcp needs the MCP SDK ({exc}): pip install 'spark-framework[mcp]'") from exc
        bridge = Bridge(self._address())
        try:
            taken = self._taken(bridge.definitions())
            tools = tuple(self._tool(bridge, one, name) for one, name in zip(taken, self._names(taken), strict=True))
        except ServerError as exc:
            bridge.close()
            raise UserError(f"tool mcp: {exc}") from exc
        except BaseException:
            bridge.close()
            raise
        self._bridge = bridge
        self._finalizer = weakref.finalize(self, bridge.close)  # also at the interpreter's exit
        return tools

    def _address(self) -> Address:
        config = self.config
        wanted = (*config.env, *((config.token_env,) if config.token_env else ()))
        if missing := [name for name in wanted if name not in os.environ]:
            raise UserError(f"tool mcp: the environment variable {missing[0]} is not set")
        variables = {name: os.environ[name] for name in config.env}
        token = os.environ[config.token_env] if config.token_env else None
        return Address(config.command, variables, config.url, token, config.timeout)

    def _taken(self, offered: Iterable[Definition]) -> list[Definition]:
        """The definitions to use, in a fixed order."""
        taken = sorted(offered, key=lambda one: one.name)
        if self.config.include:
            by_name = {one.name: one for one in taken}
            if unknown := [name for name in self.config.include if name not in by_name]:
                known = shortened_line(", ".join(by_name), 300) or "none"
                raise UserError(f"tool mcp: the server has no tool {unknown[0]!r}; its tools: {known}")
            taken = [by_name[name] for name in self.config.include]
        if not taken:
            raise UserError("tool mcp: the server has no tools")
        if len(taken) > MAX_TOOLS:
            raise UserError(
                f"tool mcp: the server has {len(taken)} tools; list at most {MAX_TOOLS} of them in `include`"
            )
        if self.config.pin is not None and self.config.pin != (found := digest(taken)):
            raise UserError(f"tool mcp: the server's tools have the digest {found}, and `pin` is {self.config.pin!r}")
        return taken

    def _names(self, taken: Iterable[Definition]) -> list[str]:
        names = [(self.config.prefix + re.sub(r"[^A-Za-z0-9_-]", "_", one.name))[:MAX_NAME] for one in taken]
        if clashing := [name for name, count in Counter(names).items() if count > 1]:
            raise UserError(
                f"tool mcp: several tools of the server would be called {clashing[0]}; list one of them in `include`"
            )
        return names

    def _tool(self, bridge: Bridge, definition: Definition, name: str) -> Tool:
        description = shortened_line(definition.description, MAX_DESCRIPTION) or f"The tool {name} of an MCP server."
        try:
            args = arguments_from_schema(definition.schema)
        except ConfigError as exc:
            raise UserError(f"tool mcp: tool {name}: {exc}; list only the others in `include`") from exc
        cls = type("ServerTool", (_ServerTool,), {"name": name, "description": description, "Args": args})
        server = [self.config.command, self.config.url]
        identity = hashlib.sha256(json.dumps([server, definition.digest()]).encode()).hexdigest()[:16]
        tool: Tool = cls(bridge, definition.name, self.needs, identity)
        return tool

    def close(self) -> None:
        with self._lock:
            if self._bridge is not None:
                self._bridge = None
                self._finalizer()


class _ServerTool(Tool):
    """One tool of a server; `needs` are the server's."""

    def __init__(self, bridge: Bridge, own_name: str, needs: frozenset[str], identity: str) -> None:
        super().__init__()
        self._bridge, self._own_name, self._needs, self._identity = bridge, own_name, needs, identity

    @property
    def needs(self) -> frozenset[str]:
        return self._needs

    def fingerprint(self) -> str:
        """Covers the server's address and the tool's full definition."""
        return self._identity

    def call(self, args: Any, context: ToolContext) -> str:
        from mcp import MCPError
        from mcp_types import INTERNAL_ERROR

        try:
            result = self._bridge.call(self._own_name, _plain(args.model_dump()))
        except TimeoutError:
            raise ToolError("timeout: the tool's server did not answer in time", transient=True) from None
        except ServerError as exc:
            raise ToolError("the tool's server cannot be used at the moment", transient=True) from exc
        except MCPError as exc:
            raise ToolError(_cut(exc.message), transient=exc.code == INTERNAL_ERROR) from None
        except ValidationError:
            raise ToolError("the tool's server answered with something that is no result") from None
        if result.is_error:
            raise ToolError(_written(result))
        return _written(result)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments in a form that every JSON writer accepts: no lone surrogates, only finite numbers."""
    try:
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        plain: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ToolError("the arguments cannot be written as JSON") from None
    return plain


def _written(result: Any) -> str:
    """A result as text: its texts, else its structured content; other parts are only named."""
    texts = [_block(block) for block in result.content]
    if result.structured_content is not None and not any(block.type == "text" for block in result.content):
        texts.append(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":")))
    return _cut("\n".join(texts)) or "[nothing]"


def _block(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    return str(getattr(getattr(block, "resource", None), "text", f"[{block.type}]"))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_REPLY else text[: MAX_REPLY - 1] + "…"


@hookimpl
def spark_tools() -> list[type[Tool | Toolset]]:
    return [Mcp]
