"""A driver that writes versions of a table's log while another one does: `commits.py FOLDER locked|unlocked`.

Both write to Delta's own log store for local disks, which looks whether a version is there and, where it is not,
renames a file to its name. Each prints how many versions it believes to have written.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

from py4j.protocol import Py4JJavaError

from pipelines.job import session
from pipelines.lakehouse import locks

VERSIONS = 10


def main(folder: Path, *, locked: bool) -> None:
    """Write all versions, one after the other."""
    spark = session.start("commits")
    assert spark._jvm
    hadoop, jvm = spark._jsc.hadoopConfiguration(), spark._jvm
    store = jvm.io.delta.storage.HDFSLogStore(hadoop)
    own = 0
    for version in range(VERSIONS):
        path = jvm.org.apache.hadoop.fs.Path(f"file://{folder}/table/_delta_log/{version:020}.json")
        with locks.commit_lock(spark, f"file://{folder}", "table") if locked else nullcontext():
            try:
                store.write(path, jvm.java.util.List.of("{}").iterator(), False, hadoop)
                own += 1
            except Py4JJavaError as error:
                if "FileAlreadyExistsException" not in error.java_exception.toString():
                    raise
    print(own)


if __name__ == "__main__":
    main(Path(sys.argv[1]), locked=sys.argv[2] == "locked")
