"""What a command takes before it is begun: documents, tokens, bytes, and time by rates measured on this machine."""

from __future__ import annotations
