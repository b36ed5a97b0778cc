"""Figures of results: Vega-Lite specifications, drawn as SVG inside the page."""
