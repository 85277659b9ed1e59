"""The loops that update a policy, their metrics and alarms."""
