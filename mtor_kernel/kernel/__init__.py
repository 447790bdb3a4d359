"""The MTOR kernel: an IPython kernel that has ``%mtor`` loaded and listens to ``Computer,``."""
