"""Facial expression recognition for ROS 2: the core, the nodes and the command line."""

__version__ = "0.1.0"
