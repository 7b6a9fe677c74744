"""The exceptions that a job turns into one sentence and an exit status."""


class UserError(ValueError):
    """A mistake in arguments or input that the user can correct: exit status 2."""


class Busy(RuntimeError):
    """Another job holds what this one needs: exit status 75, so that a scheduler tries again later."""


class Outage(RuntimeError):
    """A file system that does not answer, named in the message: exit status 1; the same command will succeed later."""
