"""The one way through: picture and question in, one `Decision` out.

    intake → embedding → model → neighbours → strategies → gate → record

Knows nothing of pages, storage or HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import torch

from r2t2_core.answering import STAGE_READ, Answering, Apart
from r2t2_core.decision import Decision
from r2t2_core.defaults import Defaults
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.embedding.minilm import MiniLMEmbedder
from r2t2_core.errors import Cancelled, ModelError, ParameterError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.models.base import ModelAdapter
from r2t2_core.models.mixed_precision import MixedPrecision
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.request import AnswerRequest, ReadRequest
from r2t2_core.settings import Settings
from r2t2_core.stages import Progress, Stages
from r2t2_core.strategies.base import Params

Outcome = Decision | WorkbenchError
"""What became of one request of a batch."""


class Engine:
    """A frozen model, an embedder and a reference set that work together.

    Parameters
    ----------
    model : ModelAdapter
    embedder : TaskEmbedder
    reference : ReferenceSet
    defaults : Defaults
        What validation chose.
    preprocessing : str
        Version of the model's processor, for the record.
    """

    def __init__(
        self,
        model: ModelAdapter,
        embedder: TaskEmbedder,
        reference: ReferenceSet,
        defaults: Defaults,
        preprocessing: str,
    ) -> None:
        self.model = model
        self.embedder = embedder
        self.reference = reference
        self.index = ReferenceIndex(reference)
        self.defaults = defaults
        self.preprocessing = preprocessing
        self.model_fingerprint = model.fingerprint()
        self._lock = Lock()
        self._answering = Answering(
            model, embedder, self.index, defaults, preprocessing, self.model_fingerprint
        )

    @classmethod
    def load(cls, settings: Settings) -> Engine:
        """Load the shipped model, embedder, reference set and defaults.

        Raises
        ------
        ModelError, ReferenceSetError
            Something is missing or damaged, or does not belong together.
        """
        if settings.threads:
            torch.set_num_threads(settings.threads)
        model = SceneMoeAdapter.load(settings.model_dir, settings.resolve_device())
        embedder = MiniLMEmbedder()
        reference = ReferenceSet.load(
            settings.reference_dir,
            model_fingerprint=model.fingerprint(),
            embedder_hash=embedder.fingerprint(),
        )
        defaults = Defaults.load(settings.defaults_path)
        preprocessing = model.preprocessing_version
        frozen: ModelAdapter = model
        if settings.dtype != "float32":
            frozen = MixedPrecision(model, torch.bfloat16)
        return cls(frozen, embedder, reference, defaults, preprocessing)

    @property
    def default_strategy(self) -> str:
        """The strategy that validation chose."""
        return self.defaults.strategy

    @property
    def default_retrieval(self) -> RetrievalParams:
        """The retrieval that validation chose."""
        return self.defaults.retrieval

    @property
    def device(self) -> str:
        """Device in words of torch."""
        return self.model.device

    @property
    def address(self) -> None:
        """None: it is in this process."""
        return None

    @property
    def answers(self) -> tuple[str, ...]:
        """The model's answer vocabulary."""
        return self.model.answers

    @property
    def pictures(self) -> Path:
        """Folder below which the pictures of a decision's neighbours lie."""
        return self.reference.root

    def default_parameters(self, strategy: str) -> Params:
        """Return a strategy's parameters as validation chose them."""
        return parse_params(get_strategy(strategy), self.defaults.parameters.get(strategy, {}))

    def answer(
        self,
        image_bytes: bytes,
        question: str,
        *,
        retrieval: RetrievalParams | None = None,
        parameters: Mapping[str, Params] | None = None,
        strategies: Sequence[str] | None = None,
        strategy: str | None = None,
        label: str | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Decision:
        """Answer a question before and after re-routing.

        Parameters
        ----------
        image_bytes : bytes
            A picture file as it was received.
        question : str
        retrieval : RetrievalParams, optional
            How neighbours are found; what validation chose by default.
        parameters : mapping, optional
            Strategy → parameters, where they differ from what validation chose.
        strategies : sequence of str, optional
            Which strategies to run; by default all that the question allows (the oracle needs a
            label).
        strategy : str, optional
            Whose answer stands as the answer after; what validation chose by default.
        label : str, optional
            The right answer, where it is known.
        progress : callable, optional
            Called with a stage (message identifier) and the share done, 0 to 1.
        cancelled : callable, optional
            Asked between stages and at every step.

        Raises
        ------
        ImageError, QuestionError
            The input cannot be used.
        ParameterError
            A strategy, a parameter or the label is unknown.
        NeighbourhoodError
            No neighbour was found.
        Cancelled
            `cancelled()` said so.
        ModelError
            The model's weights are not what they were.
        """
        request = AnswerRequest(
            image_bytes,
            question,
            retrieval,
            parameters or {},
            None if strategies is None else tuple(strategies),
            strategy,
            label,
        )
        if progress is not None:
            progress(STAGE_READ, 0.0)
        (outcome,) = self.answer_batch([self.read(request, cancelled)], progress=progress)
        if isinstance(outcome, WorkbenchError):
            raise outcome
        return outcome

    def read(
        self, request: AnswerRequest, cancelled: Callable[[], bool] | None = None
    ) -> ReadRequest:
        """Check a request and decode its picture; takes no turn at the model.

        Raises
        ------
        ImageError, QuestionError, ParameterError, Cancelled
            As in `answer`.
        """
        started, began = datetime.now(UTC), time.perf_counter()
        cancelled = cancelled or (lambda: False)
        Stages(None, cancelled).check()
        strategy = request.strategy or self.default_strategy
        label = self._label_index(request.label)
        names = self._names(request.strategies, strategy, label is not None)
        values = self._values(request.parameters, names)
        picture, asked = read_image(request.image), read_question(request.question)
        return ReadRequest(
            picture,
            asked,
            request.retrieval or self.default_retrieval,
            {name: values[name] for name in names},
            strategy,
            label,
            started,
            (time.perf_counter() - began) * 1000,
            cancelled,
        )

    def answer_batch(
        self, batch: Sequence[ReadRequest], *, progress: Progress | None = None
    ) -> list[Outcome]:
        """Answer several requests, together where their settings are the same.

        A request that is computed alone gives the same bits each time; in a batch the numbers
        agree with those to 1e-5, and the record says how many were computed together.

        Returns
        -------
        list
            A decision for each request, or the error that `answer` would have raised for it.
        """
        outcomes: dict[int, Outcome] = {}
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(batch):
            groups.setdefault(request.group, []).append(place)
        for places in groups.values():
            answered = self._answer_group([batch[place] for place in places], progress)
            outcomes.update(zip(places, answered, strict=True))
        return [outcomes[place] for place in range(len(batch))]

    def _answer_group(
        self, group: Sequence[ReadRequest], progress: Progress | None
    ) -> Sequence[Outcome]:
        """Answer requests of one group; where that fails, each alone, so that each has its own."""
        run = Stages(progress, lambda: all(request.cancelled() for request in group))
        try:
            # One inference at a time: the model, torch's threads and the index are shared.
            with run.turn(self._lock):
                return self._answering.answer(run, group)
        except Apart:
            pass
        except WorkbenchError as error:
            if len(group) == 1 or isinstance(error, ModelError | Cancelled):
                return [error] * len(group)
        return [self._answer_group([request], progress)[0] for request in group]

    def _label_index(self, label: str | None) -> int | None:
        if label is None or not label.strip():
            return None
        answers = self.model.answers
        matches = [n for n, answer in enumerate(answers) if answer.lower() == label.strip().lower()]
        if not matches:
            raise ParameterError(
                N_("“{label}” is not an answer that this model can give."),
                N_("Choose one of: {answers}."),
                label=label,
                answers=", ".join(answers),
            )
        return matches[0]

    def _names(self, chosen: Sequence[str] | None, strategy: str, has_label: bool) -> list[str]:
        known = strategies()
        names = (
            list(chosen)
            if chosen is not None
            else [name for name, entry in known.items() if has_label or not entry.needs_label]
        )
        for name in (*names, strategy):
            if get_strategy(name).needs_label and not has_label:
                raise ParameterError(
                    N_("The strategy {strategy} needs the right answer."),
                    N_("Give the label, or choose another strategy."),
                    strategy=name,
                )
        return list(dict.fromkeys((*names, strategy)))

    def _values(self, given: Mapping[str, Params], names: Sequence[str]) -> dict[str, Params]:
        """Return the parameters of every strategy that is to run."""
        for name, params in given.items():
            if not isinstance(params, wanted := get_strategy(name).params):
                raise ParameterError(
                    N_("The parameters of {strategy} are {wanted}, not {got}."),
                    N_("Build them with `parse_params`."),
                    strategy=name,
                    wanted=wanted.__name__,
                    got=type(params).__name__,
                )
        return {name: given.get(name) or self.default_parameters(name) for name in names}
