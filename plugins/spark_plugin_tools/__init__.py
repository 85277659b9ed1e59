"""Tools. A tool of several files is a package."""
