"""How the gallery runs the examples: quickly, where they can, unless SKPHYS_GALLERY=full."""

import os
from pathlib import Path


def example_arguments(gallery_conf, script_vars):
    """Return the command-line arguments of one example."""
    source = Path(script_vars["src_file"]).read_text(encoding="utf-8")
    quick = os.environ.get("SKPHYS_GALLERY") != "full" and '"--quick"' in source
    return ["--quick"] if quick else []
