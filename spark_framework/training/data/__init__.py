"""Makes rows from trajectories: token trees, packing, rewards, data sets."""
