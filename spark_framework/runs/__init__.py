"""A run on disk: its folder, trajectories, verdicts and decisions."""
