"""A shim for tools that need a setup.py; everything is in setup.cfg."""
from setuptools import setup

setup()
