"""Files on a local disk or on HDFS."""
