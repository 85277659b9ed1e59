"""`config schema` and `config check`."""

from __future__ import annotations

import argparse
import json

from .options import Commands, add_command, add_group, open_host


def register(commands: Commands) -> None:
    """Add the commands of this module."""
    config = add_group(commands, "config", "check config files, or print their schema")
    add_command(config, "schema", run_schema, "print the JSON schema of a config file")
    command = add_command(config, "check", run_check, "check a config file and the plugins that it uses", settings=True)
    command.add_argument("config", metavar="FILE", help="config file (YAML)")


def run_schema(args: argparse.Namespace) -> int:
    """Print the JSON schema of a config file."""
    from ..config.run import RunConfig

    print(json.dumps(RunConfig.model_json_schema(), indent=2))
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check a config file and load every plugin that it uses."""
    from ..config.load import load_config
    from ..config.run import RunConfig

    with open_host(args):
        load_config(args.config, RunConfig, args.set)
    print(f"{args.config}: valid")
    return 0
