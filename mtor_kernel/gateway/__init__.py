"""The realm over HTTP: the only enforcer between people and the realm.

A handler authorises, decodes, calls the realm, encodes, and that is all. A route without a declared
scope does not exist.
"""
