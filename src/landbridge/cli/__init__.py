"""The command line: Docker's words, flags, tables and exit codes, spoken to the daemon over HTTP.

Starting must be quick, so nothing here is imported before a command needs it, and the modules on the way to
`landbridge ps` avoid the standard library's heavier parts (re, enum, typing, json, socket, argparse: 5-15 ms each).
A test counts them.
"""
