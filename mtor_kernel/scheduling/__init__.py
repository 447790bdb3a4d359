"""What is decided: values and a clock in, values out, and never an effect.

``routing`` says which model answers, ``pricing`` what that may cost, ``admission`` whether it is
taken, ``fairqueue`` (with ``turns`` and ``share``) whose turn it is, ``health`` which lanes may be
used, and ``estimate`` for about how long one waits.
"""
