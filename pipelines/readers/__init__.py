"""From foreign files to raw documents."""
