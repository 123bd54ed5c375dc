"""How commands that are no stages end."""

import contextlib
import sys
from collections.abc import Iterator

from clusterwhy.errors import ClusterWhyError


@contextlib.contextmanager
def one_message() -> Iterator[None]:
    """Turn an expected error into one message and exit code 1."""
    try:
        yield
    except (ClusterWhyError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from error
