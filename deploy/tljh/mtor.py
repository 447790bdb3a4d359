"""The Littlest JupyterHub: /opt/tljh/config/jupyterhub_config.d/mtor.py."""

from mtor_kernel.hub import configure

c = get_config()  # noqa: F821 - the Hub's own

# The Hub runs as root and starts the realm. Its data is root's own, so no user can read it.
c.HubSetup.data_dir = "/opt/tljh/state/mtor"
# c.HubSetup.realm_config = "/opt/tljh/config/realm_config.py"

configure(c)
