"""A cache of encoded documents by bucket, with a limit on its memory."""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from models.dataset.encoder import EncodedDocuments
from models.dataset.feature_reader import FeatureReader
from models.dataset.index import Index
from models.dataset.ragged import Ints
from models.dataset.shuffle import assign_buckets


@dataclass
class BucketCache:
    """Reads documents bucket by bucket, and keeps the first buckets that fit into `capacity` bytes.

    Buckets beyond the capacity are read again whenever they are needed. `bucket_of` is the bucket of each document of
    the index, (D,).
    """

    reader: FeatureReader
    bucket_of: NDArray[np.int32]
    capacity: int
    cached: dict[int, EncodedDocuments] = field(default_factory=dict)
    is_full: bool = False
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, reader: FeatureReader, *, buckets: int, capacity: int) -> "BucketCache":
        """A cache of all documents in the reader's index, divided into `buckets` buckets."""
        return cls(reader, assign_buckets(reader.index.key, buckets), capacity)

    @property
    def index(self) -> Index:
        """The index of the documents."""
        return self.reader.index

    def read(self, rows: Ints) -> EncodedDocuments:
        """The documents `rows` of the index, all of one bucket, in that order."""
        number = int(self.bucket_of[rows[0]])
        with self.lock:
            bucket = self.cached.get(number)
            if bucket is None and self.is_full:
                return self.reader.read(rows)
            members = np.flatnonzero(self.bucket_of == number)
            if bucket is None:
                bucket = self.reader.read(members)
                self._keep(number, bucket)
        return bucket.take(np.searchsorted(members, rows))

    def _keep(self, number: int, bucket: EncodedDocuments) -> None:
        used = sum(documents.nbytes for documents in self.cached.values())
        if used + bucket.nbytes <= self.capacity:
            self.cached[number] = bucket
        else:
            self.is_full = True
