"""How the models of our own are made."""
