"""Prompted models behind HTTP: the prompt, the connection, the reply's parser, batches."""
