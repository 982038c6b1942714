"""Networks: one protocol, a registry of names, AlexNets, torchvision, weights, preprocessing."""
