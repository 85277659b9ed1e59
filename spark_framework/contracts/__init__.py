"""What a plugin implements: base classes of the components, and the hooks."""
