"""Formulas as MathML, which browsers draw by themselves: no script to fetch, no TeX to install."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def _inline(translator, node):
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(translator, node):
    formula = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div style="margin-bottom: 1rem">{formula}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}
