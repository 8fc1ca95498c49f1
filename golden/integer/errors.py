"""The one error of the integer network."""


class NetworkError(ValueError):
    """A network that breaks the arithmetic contract; names the node, the rule and the value."""
