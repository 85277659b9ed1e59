"""The functions of the Python API, one module each: `generate`, `train` with `plan` and `export`, `evaluate`."""
