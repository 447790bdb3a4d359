"""The ground: everything that is said between the parts of MTOR, as values.

No I/O and no async lives here, so that every other layer, and every worker, may import it.
"""
