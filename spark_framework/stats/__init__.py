"""Statistics as plain functions of arrays: bootstrap, agreement, entropy, tables."""
