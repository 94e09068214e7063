"""The scene representation built online from camera and poses. Knows nothing of ROS, files or devices.

Nothing is imported here: `camera` and `viewpoints` do without PyTorch, which takes seconds to import.
"""
