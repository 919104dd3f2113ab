"""landbridge beside its peers: the same work on each engine in turn, and a table of what it cost.

`stats` and `table` are pure; `machine`, `processes`, `peers`, `engines`, `bare` and `tools` are what stands around a
measurement; `themes/` holds one module per group of rows; `runner` plays the rounds; `agents/` are small programs that
run inside namespaces. docs/performance.md says how to read the figures. Nothing here belongs to the product.
"""
