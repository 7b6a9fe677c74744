"""Maintenance of tables: merging small files and removing unused ones."""
