"""Files on a local disk or HDFS."""
