"""The kinds of nodes, a file each. NODES is the one list of them: by the name of its class a file names a node's kind.

A new kind is `nodes/<kind>.py` with the contract of `base.Node` and a name in NODES. What else runs networks keeps one
table of kinds: `golden.batch.executor.STEPS` and `compiler.compile.LOWERINGS`, and refuses a kind that is not in it.
"""

from triovit.golden.integer.nodes.attention import Attention
from triovit.golden.integer.nodes.base import Node
from triovit.golden.integer.nodes.convolution import Convolution
from triovit.golden.integer.nodes.layer_norm import LayerNorm
from triovit.golden.integer.nodes.pool import Pool

NODES: dict[str, type[Node]] = {kind.__name__: kind for kind in (Convolution, Attention, Pool, LayerNorm)}

__all__ = ["NODES", "Attention", "Convolution", "LayerNorm", "Node", "Pool"]
