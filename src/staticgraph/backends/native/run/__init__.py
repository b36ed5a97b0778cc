"""Object code that runs: assembled or from the cache, called from Python, on several threads."""
