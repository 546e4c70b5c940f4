"""Accuracy of strategies on suites, with intervals, and what they fixed and broke."""
