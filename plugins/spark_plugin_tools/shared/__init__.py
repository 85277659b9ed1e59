"""Helpers of several tools."""
