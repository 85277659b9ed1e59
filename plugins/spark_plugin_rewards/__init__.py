"""Terms of the step reward."""
