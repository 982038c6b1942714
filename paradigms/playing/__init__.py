"""Playing a run: devices put together, the engine, one run from plan to events table."""
