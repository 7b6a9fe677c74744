#!/usr/bin/env bash
# What Spark starts in a pod: `driver` or `executor`, the rest told by variables (Spark's contract with its images, which the
# pyspark package does not bring). Anything else is a command of yours.
set -euo pipefail

what=${1:-}
case "$what" in
  driver)
    shift
    set -- "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@"
    ;;
  executor)
    # Java's options come one a variable: SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, …
    options=()
    while name="SPARK_JAVA_OPT_${#options[@]}" && [ -n "${!name:-}" ]; do options+=("${!name}"); done
    # Spark's and Hadoop's configuration, where Spark has mounted them, before the JARs.
    path="${SPARK_CONF_DIR:+$SPARK_CONF_DIR:}${HADOOP_CONF_DIR:+$HADOOP_CONF_DIR:}$SPARK_HOME/jars/*"
    set -- java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "$path${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
esac
# tini takes in the ranks' children that are left, and passes signals on.
exec tini -s -- "$@"
