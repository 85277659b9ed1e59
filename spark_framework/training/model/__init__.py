"""Actor and critic as adapters on one frozen base, and their forward passes."""
