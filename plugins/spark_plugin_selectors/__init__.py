"""Selectors: which of the scored candidates is executed."""
