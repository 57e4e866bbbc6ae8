"""A filter in the stacks people already run: one small file each, imported only when it is used."""
