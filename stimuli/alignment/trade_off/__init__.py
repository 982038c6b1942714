"""The trade-off: accuracy against tolerance, alignment and predictivity, over a list of networks."""
