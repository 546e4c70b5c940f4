"""Small re-routing problems with a random linear model, in double precision."""

from __future__ import annotations

import torch

from r2t2_core.types import GateSpec, Neighbours, RoutingProblem, RoutingSpec, Tensor

ONE_SPARSE_GATE = RoutingSpec((GateSpec("experts", tuple("abcdefgh"), 2),))
TWO_GATES = RoutingSpec((GateSpec("image", tuple("abc")), GateSpec("language", tuple("def"))))
TWO_LAYERS = RoutingSpec(
    (GateSpec("layer 1", tuple("abcd"), 2), GateSpec("layer 2", tuple("efgh"), 2))
)
SPECS = (ONE_SPARSE_GATE, TWO_GATES, TWO_LAYERS)


def random_routing(spec: RoutingSpec, rows: int, generator: torch.Generator) -> Tensor:
    """Draw routings (rows, E)."""
    logits = torch.randn(rows, spec.size, generator=generator, dtype=torch.float64)
    return torch.cat([logits[:, block].softmax(1) for block in spec.blocks], 1)


def entropy_of(outputs: Tensor):
    """Return the entropy of the softmax of a linear mix of outputs (batch, E, A)."""

    def entropy(routing: Tensor) -> Tensor:
        logs = torch.einsum("be,bea->ba", routing, outputs).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    return entropy


def make_problem(
    spec: RoutingSpec, batch: int = 3, neighbours: int = 4, seed: int = 0, label: bool = True
) -> RoutingProblem:
    """Make a problem whose losses are cross-entropies of a random linear mix."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def some_neighbours() -> Neighbours:
        weight = torch.rand(batch, neighbours, generator=generator, dtype=torch.float64)
        routing = random_routing(spec, batch * neighbours, generator)
        return Neighbours(
            torch.randint(0, 40, (batch, neighbours), generator=generator),
            torch.rand(batch, neighbours, generator=generator, dtype=torch.float64),
            weight / weight.sum(1, keepdim=True),
            routing.reshape(batch, neighbours, spec.size),
            torch.randint(0, 5, (batch, neighbours), generator=generator),
        )

    def loss_over(chosen: Neighbours):
        outputs = draw(batch, neighbours, spec.size, 5)

        def loss(routing: Tensor) -> Tensor:
            logits = torch.einsum("be,bkea->bka", routing, outputs)
            picked = logits.log_softmax(-1).gather(-1, chosen.label[..., None])[..., 0]
            return -(picked * chosen.weight).sum(1)

        return loss

    routing = random_routing(spec, batch, generator)
    near, random = some_neighbours(), some_neighbours()
    return RoutingProblem(
        spec,
        routing,
        near,
        loss_over(near),
        random,
        loss_over(random),
        random_routing(spec, 40, generator),
        torch.full((batch, 1), -1),
        entropy_of(draw(batch, spec.size, 5)),
        loss_over(some_neighbours()) if label else None,
    )
