"""Training of a stage: its rows, losses, models and trainers."""
