"""The errors that a user can mend; everything else that is raised is a mistake of ours."""


class UserError(ValueError):
    """One line that names the place, what was found there and what was expected."""


class SampleError(UserError):
    """A sample that could not be read or encoded; the message names it."""
