"""How fast deepfer is on this machine: what `deepfer bench` measures."""
