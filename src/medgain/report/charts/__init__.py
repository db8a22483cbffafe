"""Charts as SVG and HTML."""
