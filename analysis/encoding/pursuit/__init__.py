"""Regularized orthogonal matching pursuit, and how its largest correlations are found among many columns."""
