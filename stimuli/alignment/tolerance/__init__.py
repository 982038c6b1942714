"""Tolerance: the smallest perturbation, as a float quantity, that changes a network's decision."""
