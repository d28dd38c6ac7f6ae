"""The tests, and what they share."""

import os

# Threads that wait for others sleep. By default they compute for nothing, on a busy machine most of the time; what is
# computed, and by how many threads, stays the same. Set before a library reads it, and inherited by what tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
