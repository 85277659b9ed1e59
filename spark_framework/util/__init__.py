"""Small helpers without knowledge of the framework."""
