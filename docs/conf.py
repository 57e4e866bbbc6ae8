"""The site: every page of the repository, under the paths they have there, so that links hold here and on a Git host alike.

`make docs` builds it. Nothing is fetched, then or by a reader's browser: formulas are MathML, fonts the reader's own.
"""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
from docutils.utils.math.latex2mathml import tex2mathml

from rarityir import __version__
from rarityir.cli import cli

ROOT = Path(__file__).resolve().parent.parent

# What the side bar shows, in this order, of what is there; all other pages are reached by links.
CONTENTS = {
    "Begin": {
        "docs/start": "First ten minutes",
        "docs/tutorial": "Tutorial",
        "docs/integrations/README": "Plug a filter into what you run",
        "docs/own": "Your collection, your model",
    },
    "Methods": {
        "docs/filters": "Filters",
        "docs/token-aligned": "Token-aligned retrieval",
        "docs/alignment": "Alignment",
        "docs/ica": "Independent axes",
        "docs/informativeness": "What tokens tell",
        "docs/analogy": "Relations as offsets",
        "docs/modelmap": "Maps",
        "docs/rarity": "Token rarity",
        "docs/rarity-rows": "– in rows",
        "docs/rarity-probe": "– the estimator",
        "docs/rarity-headline": "– what a headline hides",
        "docs/rarity-idf": "– IDF without a corpus",
        "docs/rarity-stats": "– statistics",
        "docs/rarity-pictures": "– pictures",
        "docs/rarity-geometry": "Geometry",
    },
    "Use": {
        "docs/systems": "Systems, encoders, measures",
        "docs/daily": "Day to day",
        "docs/understanding": "Understanding a score",
        "docs/report": "The report",
        "docs/pooled": "Sub-collections",
        "docs/scale": "Plans and MS MARCO",
        "docs/cluster": "Clusters",
    },
    "Reference": {
        "docs/cli": "Commands",
        "docs/formats": "Files",
        "docs/input": "Wrong input",
        "docs/extend": "Add a part",
    },
    "Trust": {
        "docs/reproducible": "Reproducible results",
        "docs/reliability": "Reliability",
        "evals/bench/RESULTS": "Figures of speed",
        "evals/LOG": "Log of experiments",
        "CHANGELOG": "Changes",
        "CONTRIBUTING": "Contributing",
    },
}

project = "rarityir"
author = "rarityir"
version = release = __version__
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "docs/*.ipynb", "evals/**.md", "indexes/README.md", "rarityir/**.md"]
exclude_patterns = [".*", "build", "dist", "work", "indexes/*/**", "evals/**/runs", "**/__pycache__", "**/*.egg-info"]
extensions = ["myst_nb", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests run the notebook; the site shows what is stored in it
suppress_warnings = ["myst.header"]  # a page may begin with small headings
highlight_language = "text"
html_theme = "furo"
html_title = f"rarityir {release}"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
templates_path: list[str] = []


def contents() -> str:
    """The side bar's parts, of the pages that are there."""
    parts = []
    for caption, pages in CONTENTS.items():
        there = [f"{title} <{page}>" for page, title in pages.items() if any(ROOT.glob(f"{page}.[mi]*"))]
        parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *there, "```"]))
    return "\n\n".join(parts)


def tabs(text: str, folder: Path) -> str:
    """Each list of links to pages of `folder` as a row of tabs that hold those pages."""

    def tab(title: str, name: str) -> str:
        page = (folder / name).read_text(encoding="utf-8")
        body = re.sub(r"^#+ (.+)$", r"**\1**", page.partition("\n# ")[2].partition("\n")[2], flags=re.MULTILINE)
        return f"::::{{tab-item}} {title}\n{body.strip()}\n\n[This page alone]({name})\n::::\n"

    def row(found: re.Match[str]) -> str:
        items = re.findall(r"^- \[(.+?)\]\((.+?\.md)\)", found[0], re.MULTILINE)
        return ":::::{tab-set}\n" + "".join(tab(title, name) for title, name in items) + ":::::\n"

    return re.sub(r"(?:^- \[.+?\]\([^/)]+\.md\).*\n)+", row, text, flags=re.MULTILINE)


def commands(command: click.Command, path: list[str], above: click.Context | None = None) -> Iterator[str]:
    """A heading and the help of each command, the program's own first."""
    if command.hidden:
        return
    settings = {**command.context_settings, "max_content_width": 96, "terminal_width": 96}
    context = click.Context(command, info_name=path[-1], parent=above, **settings)
    yield f"\n{'#' * (min(len(path), 3) + 1)} {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```\n"
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from commands(command.get_command(context, name) or command, [*path, name], context)


def read(app, docname: str, source: list[str]) -> None:
    """What the site adds to a page as the repository has it."""
    if docname == root_doc:
        source[0] += "\n\n" + contents()
    elif docname == "docs/cli":
        source[0] += "".join(commands(cli, ["rarityir"]))
    elif docname == "docs/integrations/README":
        source[0] = tabs(source[0], ROOT / "docs" / "integrations")
    elif not any(docname in pages for pages in CONTENTS.values()):
        source[0] = f"---\norphan: true\n---\n{source[0]}"


def indexed(mathml: str) -> str:
    """The index of a letter with an accent, as in ŷ_t, beside it: docutils writes it below, as the bound of a sum."""
    ElementTree.register_namespace("", "http://www.w3.org/1998/Math/MathML")
    root = ElementTree.fromstring(re.sub(r"&(?!amp;|lt;|gt;)\w+;", lambda found: html.unescape(found[0]), mathml))
    for node in root.iter():
        if node.tag.endswith("munderover") and (node[2].text or "").strip() in ("ˆ", "ˉ"):
            space = node.tag.removesuffix("munderover")
            base, index, accent = node
            node.tag = f"{space}msub"
            node[:] = [ElementTree.Element(f"{space}mover", accent="true"), index]
            node[0][:] = [base, accent]
    return ElementTree.tostring(root, encoding="unicode")


def formula(translator, node, *, block: bool) -> None:
    """LaTeX as MathML, which browsers draw themselves."""
    from docutils import nodes

    drawn = indexed(tex2mathml(node.astext(), as_block=block))
    translator.body.append(f'<div class="formula">{drawn}</div>' if block else drawn)  # which scrolls on a narrow page
    raise nodes.SkipNode


def first_page(app, exception: Exception | None) -> None:
    """A folder is opened at index.html."""
    if exception is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app) -> None:
    """Joins the above to Sphinx."""
    app.connect("source-read", read)
    app.connect("build-finished", first_page)
    app.add_html_math_renderer(
        "mathml",
        (lambda translator, node: formula(translator, node, block=False), None),
        (lambda translator, node: formula(translator, node, block=True), None),
    )
