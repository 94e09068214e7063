"""Tells catkin which Python packages to put into a workspace; run by catkin_python_setup, never by hand or by pip."""

from catkin_pkg.python_setup import generate_distutils_setup
from setuptools import find_packages, setup

setup(**generate_distutils_setup(packages=find_packages(include=["placenet_ros", "placenet_ros.*"])))
