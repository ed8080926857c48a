"""The command line. Each command is a module that is imported only when it is called."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from forebay.cli.logs import log_to_stderr
from forebay.cli.signals import end_cleanly_when_terminated, raise_lost_interrupts_again
from forebay.errors import ForebayError
from forebay.printable import printable, printable_lines
from forebay.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = {
    "serve": "receive recordings from Rerun SDKs",
    "load": "ingest files and print a summary of their stores",
    "stats": "print a summary of files without ingesting them",
    "query": "print a dataframe, or write it as CSV, Parquet or Arrow",
    "export": "convert recordings",
    "bench": "run the benchmarks, compared with Rerun",
    "web": "write a static page that reads recordings in the browser",
    "demo": "run a server with three live recordings and show a table",
}
"""Commands in the order of `--help`; each function has the name of its module."""

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


class _Commands(click.Group):
    """A group that knows its commands by name, so that `forebay --help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name in _COMMANDS if _is_there(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS or not _is_there(cmd_name):
            return None
        module = importlib.import_module(f"forebay.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in self.list_commands(ctx)])


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(f"forebay.cli.{name}") is not None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Forebay: a live store for Rerun recordings.

    Each recording is ingested by a worker of its own and can be queried while it grows.
    """


# gRPC's own C++ log lines are for its developers; errors that concern a user are raised.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code: see `run`."""
    end_cleanly_when_terminated()
    raise_lost_interrupts_again()
    log_to_stderr()
    sys.exit(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted. A failure is reported
        in one line on standard error.
    """
    try:
        status = cli.main(args, prog_name="forebay", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:  # including wrong usage, which refers to --help
        text = io.StringIO()
        error.show(text)
        click.echo(printable_lines(text.getvalue()), err=True, nl=False)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        from forebay.runtime import abandon_turns  # noqa: PLC0415 - `--help` needs no runtime

        abandon_turns()  # accepted messages that were not decoded yet are no longer needed
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe has closed it. Python must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (ForebayError, OSError) as error:
        complain(str(error))
        return EXIT_FAILED
    return status if isinstance(status, int) else 0


def complain(text: str) -> None:
    """Report a failure in one line on standard error."""
    say(f"forebay: {' '.join(text.split())}")


def say(text: str) -> None:
    """Print one line on standard error."""
    click.echo(printable(text), err=True)
