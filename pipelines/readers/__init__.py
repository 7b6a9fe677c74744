"""From files in foreign formats to raw documents."""
