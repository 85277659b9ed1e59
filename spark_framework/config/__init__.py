"""The configuration of a run: YAML files, validated."""
