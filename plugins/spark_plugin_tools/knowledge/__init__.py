"""Look-up tools: `dictionary`, `encyclopedia`, `search`."""
