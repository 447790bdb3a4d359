"""One prompt over many rows: a table, a column, a list, a Dask collection, files.

The way of a map: the data become rows (`rows.py`, `frames.py`, `partitions.py`), the template
makes a prompt of each (`template.py`), a look over all of them finds what cannot be asked and what
the rest may cost (`survey.py`), a person may say no (`consent.py`), and a run carries them through
the realm (`run.py`). Pandas, Polars and Dask are imported only where the data are theirs.
"""

from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.mapping.report import Mapped, Report
from mtor_kernel.client.mapping.survey import Estimate
from mtor_kernel.client.mapping.ways import carry, carry_async

__all__ = ["Estimate", "Job", "Mapped", "Report", "carry", "carry_async"]
