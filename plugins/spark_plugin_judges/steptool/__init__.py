"""StepTool's two annotators: rules and a prompted model."""
