"""The errors that a user of Sparrow may see. Each message says what was expected, what came, what to do."""


class SparrowError(Exception):
    """Base of every error that is the user's to read."""


class VideoError(SparrowError):
    """A video file that cannot be used; the message names the reason or the limit."""


class ModelError(SparrowError):
    """A model folder or hub id that cannot be loaded."""


class PromptError(SparrowError):
    """A question, point or box that cannot be used."""


class StaleError(SparrowError):
    """An answer that was left half-read cannot be read on: something else was asked since."""

    def __init__(
        self,
        message: str = "answer: expected to be read to its end before the conversation goes on, "
        "but something else was asked meanwhile; ask again",
    ) -> None:
        super().__init__(message)


class Busy(SparrowError):
    """Too many wait for the model already; the message says when to try again."""


class BackendError(SparrowError):
    """The machine that runs the model cannot be reached, or does not answer as expected."""


class Cancelled(SparrowError):
    """The user pressed Stop; what was finished until then is kept by the caller."""
