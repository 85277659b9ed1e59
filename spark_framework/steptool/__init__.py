"""StepTool (arXiv 2410.07745): step-grained rewards and step-grained optimisation, and its own file formats."""
