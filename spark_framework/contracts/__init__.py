"""What a plugin implements: the base class of each kind of component, and the hooks."""
