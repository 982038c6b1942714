"""The images: drawn, chosen, perturbed, checked, and the networks that judge them."""
