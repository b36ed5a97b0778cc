"""From declared nodes to something that runs: compile, executables and sessions."""
