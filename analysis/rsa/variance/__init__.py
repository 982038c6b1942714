"""Variances of similarities: over images, and over patches of cortex."""
