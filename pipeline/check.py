"""Check params.yaml and conf/ before DVC reads them, whose own errors are riddles; `make repro` does so first."""

import sys

from clusterwhy.errors import ConfigError
from pipeline._config_guard import check_files


def main() -> None:
    """End with exit code 1 and one message that lists every fault."""
    try:
        check_files()
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
