"""The protocol as a JSON schema, for clients in other languages and for the generated types.

Everything comes from the structs themselves; nothing is written down twice.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mtor_kernel.protocol import account, errors, link, ngram, query, quota, views

#: The dialect that msgspec writes.
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

#: The four unions, one a direction, and the events of one query.
UNIONS: Final[dict[str, Any]] = {
    "ClientNGram": ngram.ClientNGram,
    "RealmNGram": ngram.RealmNGram,
    "WorkerNGram": link.WorkerNGram,
    "LinkNGram": link.LinkNGram,
    "QueryEvent": ngram.QueryEvent,
}

#: What REST says and hears besides.
RESOURCES: Final[tuple[type[msgspec.Struct], ...]] = (
    query.Query,
    query.Answer,
    account.Usage,
    account.Charge,
    account.RateCard,
    errors.ErrorInfo,
    quota.Quotas,
    views.ModelInfo,
    views.LaneInfo,
    views.WorkerInfo,
    views.QueryInfo,
    views.QuotaInfo,
    views.Me,
    views.UsageRow,
    views.PersonInfo,
    views.SysopQueryInfo,
    views.RuleInfo,
    views.CheckInfo,
    views.Page,
)


def json_schema() -> dict[str, Any]:
    """Return one document whose ``$defs`` has every n-gram, union and resource by its name."""
    wanted = (*UNIONS.values(), *RESOURCES)
    shapes, components = msgspec.json.schema_components(wanted, ref_template="#/$defs/{name}")
    # The unions come first; the resources' own shapes are references to their components.
    unions = dict(zip(UNIONS, shapes, strict=False))
    return {
        "$schema": DIALECT,
        "title": ngram.SUBPROTOCOL,
        "description": "Every message of MTOR's protocol; each is described where it is defined.",
        "$defs": dict(sorted((components | unions).items())),
    }


if __name__ == "__main__":
    import json
    import sys

    json.dump(json_schema(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
