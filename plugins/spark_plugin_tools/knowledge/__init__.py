"""Tools that look something up: `dictionary`, `encyclopedia`, `search`."""
