"""The ledger: SQLite through sqlite-utils. Nothing outside this room knows SQL.

Modules hold named functions: a transaction in, values out.
"""
