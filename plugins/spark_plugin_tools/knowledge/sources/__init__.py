"""Sources of the knowledge tools: packaged, on disk, or online."""
