"""Least squares and AR(1) of a subject as steps: fits, betas of each run, contrasts, maps."""
