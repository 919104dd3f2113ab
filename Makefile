# Two commands do all their own set-up on a fresh Debian 12 (root): make demo, make test.
.PHONY: parity demo test unit check setup install bench clean

demo: ; @scripts/setup run && .venv/bin/python demo/article.py $(CLIENT)

test: ; @scripts/setup test && scripts/test

# Ask a real Docker Engine (LANDBRIDGE_PARITY_DOCKER=unix://…) again, keep its answers and compare.
parity: ; @scripts/setup test && .venv/bin/python tests/parity/record.py && .venv/bin/pytest tests/parity

# Fast, without root and without containers.
unit: ; @.venv/bin/pytest tests/unit

check: ; @.venv/bin/ruff check src tests demo bench && .venv/bin/mypy

setup: ; @scripts/setup run

# The command on everybody's path.
install: setup ; @ln -sf "$(CURDIR)/bin/landbridge" /usr/local/bin/landbridge && echo "landbridge is at /usr/local/bin/landbridge"

# Beside Docker and Podman: everything (up to 40 minutes), ROWS="start rm" for some of it, QUICK=1 for a look whether it works.
bench: ; @scripts/setup bench && PATH="$(CURDIR)/bin:$$PATH" PYTHONPATH=demo .venv/bin/python -m bench $(if $(QUICK),--quick) $(ROWS)

clean: ; @rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache
