"""Algorithms: how a stage learns from stored rollouts."""
