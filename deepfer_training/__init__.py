"""Train, evaluate and export facial expression models for deepfer. Needs no ROS."""
