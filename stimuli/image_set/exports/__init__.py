"""What other programs read of a set: responses of a network, perturbations before they were rounded."""
