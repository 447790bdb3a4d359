"""The realm as tools of an agent, over MCP (the Model Context Protocol).

An agent is one more client: what it asks waits in the same queue, under the same quotas and in the
same ledger as its person's own queries.
"""
