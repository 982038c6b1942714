"""The general linear model: design, HRF, least squares, betas."""
