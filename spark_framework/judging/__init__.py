"""Runs judges: reuses stored replies, records every attempt, and never replaces a failure by a number.

`client` handles one request and `runner` many; `cache` keeps replies, verdicts and the ledger in SQLite, `budget`
prices attempts and enforces the limit, `batch` uses a provider's batch service, `cost` estimates the price of judging.
"""
