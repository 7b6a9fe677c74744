"""What every job has: a command line, a Spark session, progress on standard error, reports of outages."""
