"""What ./bench/sweep starts once the host has what it needs."""
import os, sys
sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sweep_lib.cli import main

sys.exit(main(sys.argv[1:]))
