"""Perturbation: one batched gradient ascent, the rules of AN and AI, targets, start image."""
