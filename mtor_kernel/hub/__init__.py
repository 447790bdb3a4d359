"""The JupyterHub face: a realm for many people, who are the Hub's.

In ``jupyterhub_config.py``::

    from mtor_kernel.hub import configure

    configure(c)

Importing it is cheap: the Hub does so, and has no use for a realm's own libraries.
"""

from mtor_kernel.hub.configure import configure

__all__ = ["configure"]
