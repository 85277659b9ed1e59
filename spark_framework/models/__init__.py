"""Model weights: loading, compatibility checks, and attention over token trees."""
