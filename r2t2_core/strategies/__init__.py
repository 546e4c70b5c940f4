"""Strategies that move the routing weights, and nothing else. One method a module."""
