"""Training of networks whose saliency falls where people look: the neural harmonizer."""
