"""Rollouts: propose, execute, judge, select, advance."""
