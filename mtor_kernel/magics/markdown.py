"""Moved to :mod:`mtor_kernel.telling.markdown`; here while other parts still look for it here."""

from mtor_kernel.telling.markdown import readable, render_untrusted

__all__ = ["readable", "render_untrusted"]
