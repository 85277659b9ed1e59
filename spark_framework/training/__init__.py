"""Training: rows, losses, models and trainers."""
