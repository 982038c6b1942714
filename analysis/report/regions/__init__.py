"""Steps that find and choose regions and draw what they found: localizers, labels, the choice of vertices."""
