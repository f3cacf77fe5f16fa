"""The page in the browser: what the cameras see, live; uploads; the browser as a camera.

Only `web_node` and `ros_cameras` know ROS; all other modules work, and are tested, without it.
"""
