"""Judges: prompted models, local models, a verifier, juries and replays."""
