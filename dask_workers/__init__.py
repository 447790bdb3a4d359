"""What runs out there, on the machines that make the models answer.

Any Dask worker becomes an MTOR worker by the plugin in here. Of MTOR's own code this package knows
the protocol and nothing else, and backends import their heavy libraries when they are used.
"""
