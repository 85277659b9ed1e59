"""Where the framework stores files that it can rebuild."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """For converted models and built indexes: `$SPARK_CACHE`, else a folder in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spark_framework"
    return Path(os.environ.get("SPARK_CACHE", default))
