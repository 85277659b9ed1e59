"""Every error that the framework raises on purpose.

`UserError` and its children are errors that the user can fix: their text is one line that says what is wrong
and what to do, and the command line turns them into exit code 2 without a traceback.
"""


class SparkError(Exception):
    """Root of all errors raised on purpose."""


class UserError(SparkError):
    """Bad input. The message is one line: what is wrong, where, and how to fix it."""


class ConfigError(UserError):
    """The configuration is wrong; the message begins with the path of the key."""


class DataError(UserError):
    """A data file, a question or a stored record is not valid."""


class PluginError(UserError):
    """A plugin is unknown, broken or in conflict; the message names kind, name, distribution and cause."""


class RunError(UserError):
    """The run folder does not fit the request: another config, a missing stage, a full disk."""


class ToolError(SparkError):
    """A tool cannot answer this call. Raise it inside `Tool.call`; the text is shown to the model.

    `transient` means that a later call may succeed (a timeout, a busy server): such a failure is never recorded.
    """

    def __init__(self, message: str, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient

    def __reduce__(self) -> tuple[type, tuple[str, bool]]:
        return type(self), (str(self), self.transient)


class JudgeError(SparkError):
    """A judge has no complete verdict for a step. The framework never replaces one by a number.

    `kind` is one of transient, invalid, refusal, config, budget: it decides what the runtime does next.
    `retry_after` is the wait that a busy server requested, in seconds.
    """

    def __init__(self, message: str, kind: str = "invalid", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.retry_after = kind, retry_after

    def __reduce__(self) -> tuple[type, tuple[str, str, float | None]]:
        return type(self), (str(self), self.kind, self.retry_after)
