"""Events tables as the analysis takes them: rows that a design must not be made from, tables of other programs."""
