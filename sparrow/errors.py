"""The errors that a user of Sparrow may see. Each message says what was expected, what came, what to do."""


class SparrowError(Exception):
    """Base of every error that is the user's to read."""


class VideoError(SparrowError):
    """A video file that cannot be used; the message names the reason or the limit."""


class ModelError(SparrowError):
    """A model folder or hub id that cannot be loaded."""


class PromptError(SparrowError):
    """A question, point or box that cannot be used."""


class Busy(SparrowError):
    """Too many wait for the model already; the message says when to try again."""


class Cancelled(SparrowError):
    """The user pressed Stop; what was finished until then is kept by the caller."""
