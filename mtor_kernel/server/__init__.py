"""The Jupyter Server face: a relay to the realm, and nothing more."""
