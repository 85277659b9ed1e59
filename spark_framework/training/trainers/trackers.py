"""Checks trackers of transformers.Trainer: tensorboard, wandb, trackio …"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ConfigError


def check_trackers(names: Sequence[str], key: str) -> None:
    """Check the names of trackers before anything is loaded.

    Args:
        key: the setting that holds them, for messages.

    Raises:
        ConfigError: a tracker does not exist, or is not installed.
    """
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    installed = get_available_reporting_integrations()
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"{key}: there is no tracker {name}; trackers: {known}")
        if name not in installed:
            raise ConfigError(f"{key}: {name} is not installed; run `pip install {name}`, or leave it out")
