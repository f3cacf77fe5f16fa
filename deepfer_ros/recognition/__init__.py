"""The recognition core: a picture in, faces with emotions out. Needs no ROS."""
