"""Similarities around every vertex."""
