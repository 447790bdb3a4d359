"""What Binder would do with this repository, as far as that goes without a container engine.

Binder makes an image: the Python of ``binder/runtime.txt``, a copy of the repository, and then
``binder/postBuild`` in it. A person's session is a container of that image, in which
``binder/start`` runs the server. Here a virtual environment takes the place of the image's Python,
and a folder that of the container.
"""
