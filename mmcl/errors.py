"""The one exception for what a user can put right."""


class UserError(Exception):
    """Bad input, bad setting or missing file.

    The message names the file or key and the cause; it is shown without a traceback.
    """
