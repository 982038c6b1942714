"""What the analysis reads: surfaces, GIFTI files, time series, the template brain."""
