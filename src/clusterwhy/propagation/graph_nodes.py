"""Reading and rewriting single operations of a traced graph."""

import operator
from typing import Any

from torch import fx

# of Python's operators, whose names end in `_` for another reason than those of operations that overwrite
NAMED_LIKE_KEYWORDS = (operator.and_, operator.or_, operator.not_, operator.is_)


def argument(node: Any, i: int, name: str, default: Any = None) -> Any:
    """Argument i of a call, or that of a name."""
    return node.args[i] if len(node.args) > i else node.kwargs.get(name, default)


def become(node: Any, target: Any, args: Any, kwargs: Any = None) -> None:
    """Let an operation compute something else in its place."""
    node.op = "call_method" if isinstance(target, str) else "call_function"
    node.target, node.args, node.kwargs = target, tuple(args), dict(kwargs or {})


def refuse(node: fx.Node, reason: str) -> None:
    """Keep the reason why a node has no rule for the one who gives rules."""
    node.meta["refused"] = f"{node.name}: {reason}"
