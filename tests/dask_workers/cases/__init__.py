"""The cases of the contract suite, a module for each backend: see ``contract.py`` above."""
