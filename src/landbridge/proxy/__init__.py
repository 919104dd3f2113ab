"""The process that holds every published host port and relays what the kernel path cannot carry."""
