"""The runtime behind every judge: what is stored is not asked again, what is asked is counted, what fails is no number.

`session` asks, `store` keeps replies, verdicts and the ledger in SQLite, `money` prices attempts and holds the budget,
`batch` sends a wave through a provider's batch service, `estimate` says beforehand what a run costs.
"""
