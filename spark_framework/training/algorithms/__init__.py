"""The equations, as plain functions of tensors."""
