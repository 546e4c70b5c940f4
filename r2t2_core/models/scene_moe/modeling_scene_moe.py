"""SceneMoE: experts in parallel behind a sparse top-k gate, over one stem and one encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from r2t2_core.models.scene_moe.configuration_scene_moe import SceneMoeConfig
from r2t2_core.routing import project_top_k

Tensor = torch.Tensor


@dataclass
class SceneMoeOutput(ModelOutput):
    """Output of SceneMoE.

    Attributes
    ----------
    loss : Tensor () or None
        Mean cross-entropy where labels were given.
    logits : Tensor (B, A)
    routing_weights : Tensor (B, E)
        Dense routing weights (before the top-k).
    expert_outputs : Tensor (B, E, D)
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    routing_weights: Tensor | None = None
    expert_outputs: Tensor | None = None


@dataclass(frozen=True)
class Encoded:
    """What all experts share.

    Shapes: image (B, C + 2, H, W), tokens (B, L, 2T), mask (B, L), question (B, D).
    """

    image: Tensor
    tokens: Tensor
    mask: Tensor
    question: Tensor

    def rows(self, index: Tensor) -> Encoded:
        """Return some rows of the batch."""
        return Encoded(
            self.image[index], self.tokens[index], self.mask[index], self.question[index]
        )


class QuestionEncoder(nn.Module):
    """Frozen word-piece embeddings, then a bidirectional GRU."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        size = config.token_size
        self.embedding = nn.Embedding(config.vocab_size, size, padding_idx=0)
        self.embedding.weight.requires_grad_(False)
        self.adapt = nn.Sequential(nn.Linear(size, size), nn.LayerNorm(size))
        self.gru = nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.pool = nn.Sequential(
            nn.Linear(4 * size, config.hidden_size), nn.LayerNorm(config.hidden_size)
        )

    def forward(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode tokens (B, L) to states (B, L, 2T) and a question vector (B, D)."""
        embedded = self.adapt(self.embedding(input_ids))
        # Packed, so that padding never reaches the backward direction and a question's
        # encoding does not depend on its neighbours in the batch.
        packed = nn.utils.rnn.pack_padded_sequence(
            embedded, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=input_ids.shape[1]
        )
        keep = mask[:, :, None].to(states.dtype)
        mean = (states * keep).sum(1) / keep.sum(1)
        peak = states.masked_fill(keep == 0, -1e4).amax(1)
        return states, self.pool(torch.cat([mean, peak], 1))


class ImageStem(nn.Module):
    """Four convolutions to a quarter of the resolution, with coordinate channels added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = ((3, 32, 2), (32, 48, 1), (48, 64, 2), (64, channels, 1))
        layers: list[nn.Module] = []
        for wide_in, wide_out, stride in widths:
            layers += [nn.Conv2d(wide_in, wide_out, 3, stride, 1), nn.BatchNorm2d(wide_out)]
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map pictures (B, 3, S, S) to (B, C + 2, S/4, S/4)."""
        features = self.layers(pixel_values)
        count, _, height, width = features.shape
        xy = coordinates(height, width, features)
        return torch.cat([features, xy[None].expand(count, 2, height, width)], 1)


def coordinates(height: int, width: int, like: Tensor) -> Tensor:
    """Return x and y of every cell in −1 … 1, as (2, H, W) of the dtype and device of `like`."""
    ys = torch.linspace(-1, 1, height, dtype=like.dtype, device=like.device)
    xs = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device)
    grid = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack([grid[1], grid[0]])


class FilmExpert(nn.Module):
    """A visual expert: convolutions that the question modulates (FiLM, Perez et al. 2018)."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        channels = config.channels
        self.first = nn.Conv2d(channels + 2, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.third = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(config.hidden_size, channels * 6)
        self.out = nn.Linear(channels * 2, config.hidden_size)

    def forward(self, encoded: Encoded) -> Tensor:
        """Return the expert's output (B, D)."""
        scale1, shift1, scale2, shift2, scale3, shift3 = self.film(encoded.question)[
            :, :, None, None
        ].chunk(6, 1)
        hidden = F.relu(self.first(encoded.image) * (1 + scale1) + shift1)
        hidden = F.relu(self.second(hidden) * (1 + scale2) + shift2) + hidden
        hidden = F.relu(self.third(hidden) * (1 + scale3) + shift3) + hidden
        return self.out(torch.cat([hidden.amax((2, 3)), hidden.mean((2, 3))], 1))


class NounMaps(nn.Module):
    """Two soft selections of words, each matched with every cell of the image map."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        channels, states = config.channels, 2 * config.token_size
        self.select = nn.Linear(states, 2)
        self.query = nn.Linear(states, channels)
        self.keys = nn.Sequential(
            nn.Conv2d(channels + 2, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, encoded: Encoded) -> Tensor:
        """Return match logits (B, 2, H, W) of the two nouns."""
        scores = self.select(encoded.tokens).masked_fill(~encoded.mask.bool()[:, :, None], -1e4)
        words = torch.einsum("blk,bls->bks", scores.softmax(1), encoded.tokens)
        keys = self.keys(encoded.image)
        return torch.einsum("bkc,bchw->bkhw", self.query(words), keys) / keys.shape[1] ** 0.5


class PositionExpert(nn.Module):
    """Points at the two nouns of the question and compares where they are."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        self.maps = NounMaps(config)
        self.out = nn.Sequential(
            nn.Linear(config.hidden_size + 6, 128), nn.ReLU(), nn.Linear(128, config.hidden_size)
        )

    def forward(self, encoded: Encoded) -> Tensor:
        """Return the expert's output (B, D)."""
        return self.read(encoded, self.maps(encoded))

    def read(self, encoded: Encoded, maps: Tensor) -> Tensor:
        """Compare the expected positions of the two nouns under their maps."""
        height, width = maps.shape[2:]
        xy = coordinates(height, width, maps).flatten(1)
        points = torch.einsum("bkn,cn->bkc", maps.flatten(2).softmax(2), xy)
        features = [encoded.question, points.flatten(1), points[:, 0] - points[:, 1]]
        return self.out(torch.cat(features, 1))


class CountExpert(nn.Module):
    """Marks every instance of the two nouns of the question and compares how many there are."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        self.maps = NounMaps(config)
        self.bias = nn.Parameter(torch.tensor(-4.0))
        self.out = nn.Sequential(
            nn.Linear(config.hidden_size + 3, 128), nn.ReLU(), nn.Linear(128, config.hidden_size)
        )

    def forward(self, encoded: Encoded) -> Tensor:
        """Return the expert's output (B, D)."""
        return self.read(encoded, self.marks(encoded))

    def marks(self, encoded: Encoded) -> Tensor:
        """Return the logits (B, 2, H, W) of "an instance has its centre here"."""
        return self.maps(encoded) + self.bias

    def read(self, encoded: Encoded, marks: Tensor) -> Tensor:
        """Compare the two sums of marks."""
        counts = torch.sigmoid(marks).sum((2, 3))
        features = [encoded.question, counts, counts[:, :1] - counts[:, 1:]]
        return self.out(torch.cat(features, 1))


class LanguageExpert(nn.Module):
    """Sees only the question."""

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.out = nn.Sequential(nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, size))

    def forward(self, encoded: Encoded) -> Tensor:
        """Return the expert's output (B, D)."""
        result: Tensor = self.out(encoded.question)
        return result


_BUILDS: dict[str, type[nn.Module]] = {
    "position": PositionExpert,
    "count": CountExpert,
    "language": LanguageExpert,
}


class SceneMoeForQuestionAnswering(PreTrainedModel):
    """Answers a question about a picture by a top-k mix of experts."""

    config_class = SceneMoeConfig
    base_model_prefix = "scene_moe"

    def __init__(self, config: SceneMoeConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.question_encoder = QuestionEncoder(config)
        self.stem = ImageStem(config.channels)
        self.experts = nn.ModuleDict(
            {name: _BUILDS.get(name, FilmExpert)(config) for name in config.experts}
        )
        self.router = nn.Sequential(
            nn.Linear(size + config.channels, 64), nn.Tanh(), nn.Linear(64, len(config.experts))
        )
        # All experts speak at the same volume, so that a mix is decided by the routing alone.
        self.scale = nn.LayerNorm(size, elementwise_affine=False)
        self.head = nn.Sequential(
            nn.Linear(size, 192), nn.ReLU(), nn.Linear(192, len(config.answers))
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initialisation."""

    def encode(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        """Compute what all experts share.

        Shapes: pixel_values (B, 3, S, S) in −1 … 1, input_ids and attention_mask (B, L).
        """
        tokens, question = self.question_encoder(input_ids, attention_mask)
        return Encoded(self.stem(pixel_values), tokens, attention_mask, question)

    def encode_shared(
        self, pixel_values: Tensor, picture: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Encoded:
        """Do the same for B questions about fewer pictures (P, 3, S, S); `picture` (B,) says which.

        Every picture goes through the stem once.
        """
        tokens, question = self.question_encoder(input_ids, attention_mask)
        return Encoded(self.stem(pixel_values)[picture], tokens, attention_mask, question)

    def run_experts(self, encoded: Encoded) -> Tensor:
        """Return the outputs of all experts (B, E, D)."""
        outputs = [self.scale(expert(encoded)) for expert in self.experts.values()]
        return torch.stack(outputs, 1)

    def route(self, encoded: Encoded) -> Tensor:
        """Return the router's dense routing weights (B, E)."""
        logits: Tensor = self.router(self.router_input(encoded))
        return logits.softmax(1)

    def router_input(self, encoded: Encoded) -> Tensor:
        """Return what the router sees (B, D + C): question and pooled picture."""
        pooled = encoded.image[:, : self.config.channels].mean((2, 3))
        return torch.cat([encoded.question, pooled], 1)

    def mix(self, expert_outputs: Tensor, weights: Tensor) -> Tensor:
        """Return logits (…, A) of the mix of expert outputs (…, E, D) with weights (…, E)."""
        mixed = (weights[..., None] * expert_outputs).sum(-2)
        logits: Tensor = self.head(mixed)
        return logits

    def sparse(self, routing: Tensor) -> Tensor:
        """Keep the k largest weights of each row (B, E) and let them sum to one."""
        return project_top_k(routing, self.config.routing_spec)

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
    ) -> SceneMoeOutput:
        """Answer under the router's own routing.

        Shapes: pixel_values (B, 3, S, S), input_ids, attention_mask (B, L), labels (B,).
        """
        encoded = self.encode(pixel_values, input_ids, attention_mask)
        outputs = self.run_experts(encoded)
        routing = self.route(encoded)
        logits = self.mix(outputs, self.sparse(routing))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SceneMoeOutput(loss, logits, routing, outputs)
