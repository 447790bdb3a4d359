"""The browser that drives the panel, and how it is started: everything stays on loopback."""

import os
import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Only a container's root needs to go without the sandbox.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    "--autoplay-policy=no-user-gesture-required",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
)
