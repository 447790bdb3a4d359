"""What is done: the only layer with effects.

:class:`~mtor_kernel.realm.realm.Realm` is the whole of it to those above.
"""
