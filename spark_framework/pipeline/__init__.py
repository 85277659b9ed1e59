"""`generate`, `train`, `evaluate`, `export`: what the command line and the Python API call."""
