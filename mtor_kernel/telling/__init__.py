"""How a query is told to a person: its story, its figures, its words as HTML that is safe.

What the magics and the widgets share.
"""
