"""How well a network's units predict neural responses: partial least squares, ceilings, spatial maps."""
