"""The realm of docker-compose.yml."""

c = get_config()  # noqa: F821 - traitlets' own

c.HubRealm.bind = "0.0.0.0"  # noqa: S104 - inside its container
c.HubRealm.scheduler = "tls://scheduler:8786"
c.HubRealm.certs = "/etc/mtor/tls"
c.HubRealm.link_bind = "0.0.0.0:8104"
c.HubRealm.link_url = "wss://realm:8104/services/mtor/link"
