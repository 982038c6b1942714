"""Networks beside people: how strong an attack must be, and whether it falls on what people look at."""
