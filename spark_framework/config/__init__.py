"""What a run is told: a YAML file, checked."""
