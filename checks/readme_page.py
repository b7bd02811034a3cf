"""Pages of the documentation site that stand outside `docs/`: README, CHANGELOG, CONTRIBUTING.

A hook of mkdocs (`mkdocs.yml`). Links are rewritten: pages of the site stay inside it, and other
files of the repository are shown where its code is hosted.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files at the root of the repository -> pages of the site."""
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site."""
    for source, page in PAGES.items():
        text = site_links((ROOT / source).read_text("utf-8"), str(config.repo_url))
        files.append(File.generated(config, page, content=text))
    return files


def site_links(text: str, repository: str) -> str:
    """Return a page with links that are right on the site.

    Args:
        text: page whose links start at the root of the repository.
        repository: address of the repository.

    Example:
        >>> site_links("[a](docs/cli.md#x) [b](examples/b.ipynb) [c](#d)", "https://host/us/")
        '[a](cli.md#x) [b](https://host/us/blob/main/examples/b.ipynb) [c](#d)'
    """

    def moved(match: re.Match[str]) -> str:
        path = match[1]
        if path in PAGES:
            return f"]({PAGES[path]}"
        if path.startswith("docs/") and "." in path:
            return f"]({path.removeprefix('docs/')}"
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"]({repository.rstrip('/')}/{kind}/main/{path}"

    return _LINK.sub(moved, text)
