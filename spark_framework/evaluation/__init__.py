"""Evaluation: the policy acts alone on held-out questions, and its answers are measured."""
