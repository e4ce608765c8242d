"""Reference of the Python API: make reference. Names and types are the stub's, words are those that `help()` shows, of the stub's
own or of the built wheel. A warning ends it, and so does a public name without words."""

import importlib
from pathlib import Path

project = "bartizan"
extensions = ["autoapi.extension"]
html_theme = "alabaster"
exclude_patterns = ["autoapi/index.rst"]
# Built from a copy in target/reference/source: autoapi writes beside what it is told by.
autoapi_dirs = [str(Path(__file__).resolve().parents[3] / "python/python")]
autoapi_file_patterns = ["*.pyi"]
autoapi_options = ["members", "undoc-members", "imported-members"]
autoapi_add_toctree_entry = False
autoapi_keep_files = False

# What a container is asked for by the language, and the fields of records, which their names and types explain.
SELF_EVIDENT = {"attribute", "data", "module", "package"}
unexplained = set()


def words(name):
    """The docstring at run time of a dotted name."""
    value = importlib.import_module("bartizan")
    for part in name.split(".")[1:]:
        value = getattr(value, part, None)
    return getattr(value, "__doc__", None) or ""


def explain(app, what, name, member, skip, options):
    if name.startswith("bartizan._") or skip or name.rsplit(".", 1)[-1].startswith("_"):
        return True
    if not member.docstring.strip() or member.docstring.startswith("dict() ->"):
        # Backquotes are Markdown's: reStructuredText doubles them.
        member.docstring = words(name).replace("`", "``")
    if what not in SELF_EVIDENT and not member.docstring.strip():
        unexplained.add(name)
    return False


def finish(app, error):
    if unexplained and not error:
        raise SystemExit(f"no words of their own: {', '.join(sorted(unexplained))}")


def setup(app):
    app.connect("autoapi-skip-member", explain)
    app.connect("build-finished", finish)
