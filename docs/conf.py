"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build/html`, no network needed."""

import re
import sys
from pathlib import Path

import skphys

# For the extension mathml, and for gallery.example_arguments, which sphinx-gallery imports.
sys.path.insert(0, str(Path(__file__).parent))

project = "skphys"
author = "the skphys developers"
project_copyright = author
version = release = skphys.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "code"

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False

plot_include_source = True
plot_html_show_source_link = plot_html_show_formats = False
plot_formats = [("png", 100)]

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"skphys {version}"
html_show_sourcelink = False
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "show_prev_next": False}
html_static_path = ["_static"]
html_css_files = ["figures.css"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"[/\\]plot_",
    "ignore_pattern": r"(^|[/\\])_",
    "reset_argv": "gallery.example_arguments",
    "parallel": 2,
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
}


def literal_shapes(app, what, name, obj, options, lines):
    """Keep ``*`` and ``_`` in "(*batch, n_features_in_)" from being read as markup."""
    shape = re.compile(r"(?<=shape )\([^()]*\)|(?<!`)\([^()`]*, \*\w[^()`]*\)")
    lines[:] = [shape.sub(lambda m: re.sub(r"([*_])", r"\\\1", m[0]), line) for line in lines]


def setup(app):
    """Run after numpydoc, whose priority is the default."""
    app.connect("autodoc-process-docstring", literal_shapes, priority=900)
