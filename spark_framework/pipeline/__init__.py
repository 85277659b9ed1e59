"""The verbs of the Python API, a file each: `generate`, `train` with `plan` and `export`, `evaluate`."""
