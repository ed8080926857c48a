"""`forebay web`: write a static page that reads recordings in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from forebay.viewer.site import build_site


@click.command()
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Where to write the site.",
)  # fmt: skip
@click.option(
    "--pyodide", metavar="URL|DIR",
    help="Pyodide's full release; a folder makes the site work offline. [default: its CDN]",
)  # fmt: skip
def web(out: Path, pyodide: str | None) -> None:
    """Write a static site that reads .rrd files in the browser; nothing is uploaded.

    Serve the folder with any web server, for example `python -m http.server`.
    """
    site = build_site(out, pyodide)
    click.echo(f"{site.folder}: {len(site.sizes_bytes)} files, {site.size_bytes / 1e6:.1f} MB")
    click.echo(f"Pyodide: {site.pyodide}")
    if site.pyodide == "pyodide/" and not site.is_compiled:
        click.echo("with Node.js installed, the site would start about a second sooner", err=True)
