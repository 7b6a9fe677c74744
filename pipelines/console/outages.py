"""Outages: a file system that does not answer or is full is reported in one sentence instead of Hadoop's traceback.

An outage is not the user's mistake: the exit status is 1, and the same command succeeds once the file system works.
"""

from collections.abc import Iterator

from pipelines.errors import Outage

# Pieces of messages of the JVM's client and of hdfs-native, and the sentence for the user. The first entry that matches
# wins, because the text of an exception contains the texts of its causes. "Connection refused" alone is not listed:
# ranks report it about each other.
OUTAGES = (
    (
        ("SafeModeException", "is in safe mode"),
        "HDFS is in safe mode and takes no writes (hdfs dfsadmin -safemode get)",
    ),
    (
        ("minReplication nodes", "DiskOutOfSpaceException"),
        "HDFS has no DataNode with room for another block (hdfs dfsadmin -report)",
    ),
    (
        ("BlockMissingException", "Could not obtain block"),
        "HDFS cannot serve a block, because no DataNode with a copy answers (hdfs fsck)",
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


def describe_outage(error: BaseException) -> str | None:
    """The outage that caused `error`, in one sentence; None if no outage did."""
    if isinstance(error, Outage):
        return str(error)
    messages = "\n".join(f"{type(each).__name__}: {each}" for each in _with_causes(error))
    return next((description for signs, description in OUTAGES if any(sign in messages for sign in signs)), None)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was raised from or during; the chain may be circular."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
