"""Helpers that several tools use."""
