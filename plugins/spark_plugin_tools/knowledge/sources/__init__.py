"""Where the knowledge tools find their texts: packaged, on disk, or online."""
