"""StepTool's own files, where a checkout has them beside it. They are not part of the project."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data" / "steptool"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared folder with files of StepTool's repository")
