"""Figures of the results, drawn from the tidy records alone; one module a figure."""
