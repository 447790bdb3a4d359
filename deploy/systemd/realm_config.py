"""The realm of a Hub with three GPU machines: /etc/mtor/realm_config.py."""

c = get_config()  # noqa: F821 - traitlets' own

c.Realm.catalogue_path = "/etc/mtor/catalogue.toml"
# c.Realm.database_url = "postgresql://mtor@/mtor"

# Dask: reached over TLS by whoever holds a certificate, and by nobody else.
c.HubRealm.scheduler = "tls://10.0.0.1:8786"
c.HubRealm.certs = "/etc/mtor/tls"
# Where the workers dial in with their answers; the certificate is the same.
c.HubRealm.link_bind = "10.0.0.1:8104"
c.HubRealm.link_url = "wss://10.0.0.1:8104/services/mtor/link"

c.People.grant_credits = {"user": 10.0, "contributor": 50.0}
c.People.quotas_of = {"guest": {"queries_per_minute": 10, "waiting": 5}}
