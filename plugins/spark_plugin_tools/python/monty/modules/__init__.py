"""Standard modules that pydantic-monty lacks, in the Python that it has: no inheritance, no `del`, no `yield`.

Not imported by anything: `runner.py` puts their text before a program that asks for them. They hold what short programs
use, with the standard library's results; a name that is missing is an ImportError or AttributeError for the program.
"""
