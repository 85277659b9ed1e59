"""The plugin manager: finds, loads and calls plugins. The only code that touches pluggy."""
