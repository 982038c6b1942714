"""What files there are of a subject, found by the entities in their names, and the overview of them."""
