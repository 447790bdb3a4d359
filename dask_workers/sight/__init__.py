"""The built-in sight: small networks that find what is written on a picture and what is on it.

No language model is among them: what they find is put into sentences by rule, so nothing is said
that was not found.
"""
