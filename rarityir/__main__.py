"""Runs the command line: `python -m rarityir`."""

from rarityir.cli import main

raise SystemExit(main())
