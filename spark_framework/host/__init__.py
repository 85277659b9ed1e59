"""The plugin manager: finds, loads and calls plugins. No other code uses pluggy, except for the hook markers."""
