"""The default backend: Monty, an interpreter without access to the machine."""
