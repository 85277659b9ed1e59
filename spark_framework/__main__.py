"""`python -m spark_framework`."""

import sys

from .cli import main

sys.exit(main())
