"""Indexes store documents in one form (text, embeddings or impacts) and search them exactly."""
