"""Start the gateway."""

from __future__ import annotations

from confide.gateway.main import main

if __name__ == "__main__":
    raise SystemExit(main())
