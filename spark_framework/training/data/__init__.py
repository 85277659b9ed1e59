"""From trajectories to rows: token trees, packing, rewards, data sets."""
