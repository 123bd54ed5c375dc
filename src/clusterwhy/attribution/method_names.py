"""Names of methods: with parameters, and which one was meant."""

import ast
import difflib
from typing import Any

from clusterwhy.errors import MethodError


def parse_name(name: str) -> tuple[str, dict[str, Any]]:
    """`base(key=value, ...)` as its base and its parameters; values are Python literals or plain words."""
    try:
        call = ast.parse(name.strip(), mode="eval").body
    except SyntaxError:
        call = None
    if isinstance(call, ast.Name):
        return call.id, {}
    readable = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
    if not readable or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise MethodError(f"expected a method like `name` or `name(key=value, ...)`, got {name!r}")
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        try:
            plain = keyword.value.id if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
        except ValueError:
            plain = None
        if keyword.arg is None or (plain is None and ast.unparse(keyword.value) != "None"):
            raise MethodError(f"{name!r}: {ast.unparse(keyword.value)} is no plain value")
        found[keyword.arg] = plain
    return call.func.id, found


def near(name: str, known: list[str]) -> str:
    """Names that are alike, that hold the given one (`shap`), or that it is the initials of (`ig`).

    Of SignXAI's `lrpsign_*`, whose parameters are parts of the name, LRP with signs.
    """
    given = name.lower().replace("-", "_")
    plain = given.replace("_", "")
    if given.startswith("lrpsign"):
        return f" (near: {', '.join(one for one in known if one.startswith('lrp_') and one.endswith('_sign'))})"
    found = difflib.get_close_matches(given, known, n=3)
    found += [one for one in known if len(plain) > 2 and plain in one.replace("_", "")]
    found += [one for one in known if plain == "".join(word[0] for word in one.split("_"))]
    found = list(dict.fromkeys(found))
    return f" (near: {', '.join(found)})" if found else ""
