"""Lays scores out as one table: terminal, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

from rarityir.report.explanation import Aligned, Explanation, Zone
from rarityir.report.model import Report, Row
from rarityir.report.render import RENDERERS, render

__all__ = ["RENDERERS", "Aligned", "Explanation", "Report", "Row", "Zone", "render"]
