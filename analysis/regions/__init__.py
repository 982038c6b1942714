"""Regions of interest: labels, vertex selection, the selected vertices' responses."""
