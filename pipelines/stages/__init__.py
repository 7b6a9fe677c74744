"""What each stage does with tables and bundles; the jobs above call them with a session and a configuration."""
