"""Representational similarity analysis in the brain and in the network."""
