"""The one way through: picture and question in, one `Decision` out.

    intake → embedding → model → neighbours → strategies → gate → record

Knows nothing of pages, storage or HTTP.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock

import torch

from r2t2_core.decision import AnswerRecord, Decision, Timing
from r2t2_core.defaults import Defaults
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.embedding.minilm import MiniLMEmbedder
from r2t2_core.errors import Cancelled, ModelError, ParameterError
from r2t2_core.gate import Change, Nearness, judge
from r2t2_core.i18n import N_
from r2t2_core.intake.image import IntakeImage, read_image
from r2t2_core.intake.question import IntakeQuestion, read_question
from r2t2_core.models.base import ModelAdapter
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.problem import build_problem
from r2t2_core.recording import (
    record_answer,
    record_input,
    record_neighbours,
    record_reference,
    record_system,
    record_trajectory,
)
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.routing import check_routing
from r2t2_core.settings import Settings
from r2t2_core.strategies.base import Params
from r2t2_core.types import Sample

STAGE_READ = N_("Reading picture and question")
STAGE_EMBED = N_("Embedding the question")
STAGE_MODEL = N_("Running the frozen model")
STAGE_RETRIEVE = N_("Finding neighbours in the reference set")
STAGE_REROUTE = N_("Re-routing")
STAGE_VERIFY = N_("Checking that the model is unchanged")

PATIENCE = 0.05
"""Seconds between two looks at whether a call that waits for its turn was cancelled."""

Progress = Callable[[str, float], None]


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
        return cls(model, embedder, reference, defaults, model.preprocessing_version)

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

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the engine: one inference at a time, since model, threads and index are shared."""
        with self._lock:
            yield

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
        run = _Run(progress, cancelled)
        strategy = strategy or self.default_strategy
        label_index = self._label_index(label)
        names = self._names(strategies, strategy, label_index is not None)
        values = self._values(parameters or {}, names)
        with run.stage(STAGE_READ, 0.0):
            picture, asked = read_image(image_bytes), read_question(question)
        # One inference at a time: the model, torch's threads and the index are shared.
        with run.turn(self._lock):
            return self._answer(
                run,
                picture,
                asked,
                retrieval or self.default_retrieval,
                {name: values[name] for name in names},
                strategy,
                label_index,
            )

    def _answer(
        self,
        run: _Run,
        picture: IntakeImage,
        asked: IntakeQuestion,
        retrieval: RetrievalParams,
        parameters: Mapping[str, Params],
        strategy: str,
        label_index: int | None,
    ) -> Decision:
        with run.stage(STAGE_EMBED, 0.1):
            embedding = self.embedder.embed([asked.text])
        with run.stage(STAGE_MODEL, 0.25):
            prepared = self.model.prepare([Sample(picture.image, asked.text)])
            check_routing(prepared.routing, self.model.routing_spec)
            base = record_answer(self.model, self.model.answer(prepared)[0], prepared.routing[0])
        with run.stage(STAGE_RETRIEVE, 0.4):
            features = prepared.image_features.cpu().numpy()
            key = f"{picture.pixels_sha256} {asked.text}"
            found = self.index.retrieve(embedding, features, retrieval, [key])
            near = Nearness(
                float(found.similarity_best[0]), float(self.index.picture_distance(features)[0])
            )
            problem = build_problem(
                self.model,
                prepared,
                self.index,
                found,
                retrieval.policy,
                None if label_index is None else torch.tensor([label_index]),
                run.cancelled,
            )
        records = []
        for number, (name, values) in enumerate(parameters.items()):
            with run.stage(STAGE_REROUTE, 0.5 + 0.4 * number / len(parameters), name):
                trajectory = get_strategy(name).reroute(problem, values)
                records.append(record_trajectory(self.model, prepared, name, values, trajectory))
        with run.stage(STAGE_VERIFY, 0.95):
            after = self.model.fingerprint()
            if after != self.model_fingerprint:
                raise ModelError(
                    N_("The model's weights changed while the program was running."),
                    N_("Do not use this answer. Restart the program."),
                )
        last = next(record for record in records if record.strategy == strategy).last
        change = Change(
            last.answer != base.answer, base.probability, last.probability, last.surrogate_loss
        )
        verdict = judge(near, change, strategy, self.defaults.thresholds)
        moved = AnswerRecord(
            answer=last.answer,
            probability=last.probability,
            probabilities=last.probabilities,
            routing=last.routing,
            routing_top_k=last.routing_top_k,
        )
        return Decision(
            schema_version="1",
            id=uuid.uuid4().hex,
            started_at=run.started.isoformat(),
            input=record_input(
                picture,
                asked,
                None if label_index is None else self.model.answers[label_index],
                self.preprocessing,
            ),
            system=record_system(self.model, self.model_fingerprint, after, retrieval.seed),
            reference=record_reference(self.reference, self.embedder, retrieval, found),
            neighbours=record_neighbours(self.reference, found),
            base=base,
            trajectories=tuple(records),
            strategy=strategy,
            gate=verdict,
            final=moved if verdict.reroute else base,
            timings=tuple(run.timings),
        )

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


class _Run:
    """Clock, progress and cancelling of one call."""

    def __init__(self, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self.started = datetime.now(UTC)
        self.timings: list[Timing] = []
        self.cancelled = cancelled or (lambda: False)
        self._progress = progress or (lambda stage, share: None)

    def check(self) -> None:
        """Raise Cancelled where the person has cancelled."""
        if self.cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))

    @contextmanager
    def turn(self, lock: Lock) -> Iterator[None]:
        """Hold a lock; a cancel is heard while waiting for it."""
        self.check()
        while not lock.acquire(timeout=PATIENCE):
            self.check()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def stage(self, name: str, share: float, strategy: str | None = None) -> Iterator[None]:
        """Time a stage; refuse to begin it when the person has cancelled."""
        self.check()
        self._progress(name, share)
        began = time.perf_counter()
        yield
        elapsed = (time.perf_counter() - began) * 1000
        self.timings.append(Timing(stage=name, strategy=strategy, milliseconds=elapsed))
