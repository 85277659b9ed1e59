"""Actor and critic as adapters on one frozen base, and what they compute."""
