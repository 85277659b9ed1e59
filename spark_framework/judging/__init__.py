"""The runtime of all judges: stored replies are used again, every attempt is counted, a failure never becomes a number.

`client` handles one request and `runner` many; `cache` keeps replies, verdicts and the ledger in SQLite, `budget`
prices attempts and enforces the limit, `batch` uses a provider's batch service, `cost` estimates the price of judging.
"""
