"""Plotly figures, one file a subject. Every figure is drawn from the `Decision` record alone."""
