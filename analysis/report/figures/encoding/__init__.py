"""Figures of the encoding models: accuracies (Fig. 6) and best layers (Fig. S1)."""
