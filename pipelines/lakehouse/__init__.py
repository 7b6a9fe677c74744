"""The Delta tables of a lake: schemas, reading, writing, committing, locking."""
