"""Groups of commands: their help gives each command's first sentence whole, in the order they are used in."""

from __future__ import annotations

import click


class Commands(click.Group):
    """A group as click's, but for its list of commands: not cut at the line's end, and not in the order of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands' names in the order they were added in."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes every command with its first sentence, over several lines where it is long."""
        longest = max(len(command.help or "") for command in self.commands.values())
        rows = [(name, of.get_short_help_str(longest)) for name, of in self.commands.items() if not of.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
