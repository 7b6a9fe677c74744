"""What every job is: command line, Spark session, progress, outages."""
