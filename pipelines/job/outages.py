"""A file system that is away or full: one sentence, where a traceback of Hadoop's would hide it, and exit status 1.

Not the user's mistake: the same command goes through once the file system is well again.
"""

from collections.abc import Iterator

from pipelines.errors import Outage

# Signs in what the JVM's client and hdfs-native say, and what a user is told. The first that is found counts, since the
# text of an exception holds those of its causes. "Connection refused" alone is no sign: ranks say so of each other.
TROUBLES = (
    (
        ("SafeModeException", "is in safe mode"),
        "HDFS is in safe mode, in which nothing can be written (hdfs dfsadmin -safemode get)",
    ),
    (
        ("minReplication nodes", "DiskOutOfSpaceException"),
        "HDFS has no DataNode with room for another block (hdfs dfsadmin -report)",
    ),
    (
        ("BlockMissingException", "Could not obtain block"),
        "HDFS has a block of which no DataNode with a copy answers (hdfs fsck)",
    ),
    (("Failed to complete file in time",), "a DataNode of HDFS does not answer"),
    (
        (
            *("failed on connection exception", "No Route to Host from", "failed on socket timeout"),
            *("UnknownHostException", "failed to lookup address", "(os error 110)", "(os error 111)", "(os error 113)"),
        ),
        "HDFS does not answer",
    ),
    (("No space left on device",), "a local disk is full"),
)


def told(error: BaseException) -> str | None:
    """The trouble that `error` comes of; None where it comes of nothing of the kind."""
    if isinstance(error, Outage):
        return str(error)
    said = "\n".join(f"{type(each).__name__}: {each}" for each in _chain(error))
    return next((trouble for signs, trouble in TROUBLES if any(sign in said for sign in signs)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from or while; a chain may bite its own tail."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
