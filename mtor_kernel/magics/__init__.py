"""``%mtor`` and ``%%mtor``: the realm from a notebook cell.

Opened by ``%load_ext mtor_kernel``; :mod:`mtor_kernel.magics.magics` is the way in.
"""
