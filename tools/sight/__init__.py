"""How the networks of the built-in sight came from what their authors published."""
