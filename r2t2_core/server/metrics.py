"""What Prometheus may ask of the backend."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from r2t2_core.decision import Decision

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Counters and histograms of one backend, in a registry of its own."""

    def __init__(self, held: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "r2t2_requests", "Requests by route and status.", ("route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._latency = Histogram(
            "r2t2_request_seconds", "From a request's first byte to its answer.", ("route",),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._batch_size = Histogram(
            "r2t2_batch_size", "Requests that were answered together.",
            buckets=SIZES, registry=self._registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "r2t2_batch_seconds", "Time that the engine took for a batch.",
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._halvings = Counter(
            "r2t2_batch_halvings", "Batches that did not fit into the device's memory.",
            registry=self._registry,
        )  # fmt: skip
        self._decisions = Counter(
            "r2t2_decisions", "Decisions by strategy and outcome.", ("strategy", "outcome"),
            registry=self._registry,
        )  # fmt: skip
        gauge = Gauge(
            "r2t2_requests_held", "Requests that are read, waiting or computed.",
            registry=self._registry,
        )  # fmt: skip
        gauge.set_function(held)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch."""
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)

    def halved(self) -> None:
        """Count a batch that did not fit into the device's memory."""
        self._halvings.inc()

    def decision(self, decision: Decision) -> None:
        """Count one decision: kept by the gate, unchanged, or flipped."""
        outcome = "flipped" if decision.flipped else "unchanged"
        if not decision.gate.reroute:
            outcome = "kept_by_gate"
        self._decisions.labels(decision.strategy, outcome).inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus' own format."""
        return generate_latest(self._registry)
