"""Rollouts on a real cluster, under load, with something broken: rows that ledgers prove."""
