"""The policy alone on held-out questions, and the metrics of its answers."""
