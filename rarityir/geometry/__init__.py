"""Directions in the space of tokens: what lies near them, whether it belongs together, and how much of that is chance."""

from __future__ import annotations
