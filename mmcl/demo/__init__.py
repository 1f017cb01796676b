"""The drawn demo: articulated people animated, rendered to video and written as Kinect recordings."""
