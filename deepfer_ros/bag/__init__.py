"""Recognize the faces of recordings: ROS 2 bags, videos and folders of images. Needs no ROS."""
