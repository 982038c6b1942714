"""GLMdenoise: noise regressors found in the data themselves, and how many of them help."""
