"""Trainers: the loops that update a policy, with metrics, alarms and checkpoints."""
