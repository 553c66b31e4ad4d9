"""What each command does, as public functions: disk at the edges, the rooms in between."""
