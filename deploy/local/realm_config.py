"""The realm of ``make hub``: two workers, and people who begin with a little money."""

c = get_config()  # noqa: F821 - traitlets' own

c.HubRealm.workers = 2
c.People.grant_credits = {"guest": 1.0, "user": 10.0, "contributor": 50.0}
