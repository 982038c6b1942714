"""The analysis: from surface time series to similarities, encoding models and one report."""
