"""Population receptive fields: the compressive spatial summation model, fitted to many vertices at once."""
