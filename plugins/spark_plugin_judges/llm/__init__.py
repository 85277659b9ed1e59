"""Prompted models over HTTP: prompt, connection pool, reply parser, batches."""
