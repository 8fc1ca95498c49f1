"""The one error of the integer network."""

from triovit.golden.errors import TriovitError


class NetworkError(TriovitError, ValueError):
    """A network that breaks the arithmetic contract; names the node, the rule and the value."""
