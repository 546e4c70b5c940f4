"""One file a change; none is ever edited after a release."""
