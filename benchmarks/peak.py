"""Runs the program in its arguments and prints what that printed, and its largest size in bytes.

A small process of its own: what a program's parent had before it counts as the program's.
"""

import json
import resource
import subprocess
import sys

if __name__ == "__main__":
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=False)
    size = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    json.dump({"out": done.stdout.decode(), "peak": size * unit}, sys.stdout)
    sys.exit(done.returncode)
