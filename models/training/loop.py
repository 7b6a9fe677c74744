"""The training loop: one for all models, the same in one process and in many."""

import contextlib
import copy
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from models.bundles import architecture, weights
from models.dataset.loader import training_batches
from models.dataset.micro_batches import Batch
from models.dataset.ragged import Ints
from models.dataset.sampling import SamplingPlan
from models.ranks import exit_records, malloc_trim, process_group
from models.ranks.progress import ProgressReporter
from models.training import checkpoint
from models.training.checkpoint import Checkpoint
from models.training.evaluation import evaluate
from models.training.figures import TrainingFigures
from models.training.history import History, resident_mb
from models.training.optimizers import learning_rate_factor, set_learning_rate
from models.training.run_context import RunContext, prepare
from models.training.state import REFIT, SEARCH, Outcome, TrainingState, restore, state_tensors
from models.training.task import Task
from models.training.trainer import Trainer, train_step


def fit(task: Task) -> TrainingFigures:
    """Train `task.model` and write its weights and history into `task.folder`.

    The training goes on from the folder's newest checkpoint, if there is one.

    Raises:
        ValueError: There is no labelled document, a setting or the vocabulary cannot be used, or the loss is not
            finite.
    """
    started = time.monotonic()
    with (
        exit_records.record_exit(task.exit_folder, timeout_s=task.train.timeout_s) as status,
        process_group.join(timeout_s=task.train.timeout_s, gpu=task.train.gpu) as group,
    ):
        process_group.configure_processor(task.train.threads)
        status.mark_progress()
        context = prepare(task, group, status)
        resumed = load_checkpoint(context)
        resumed_at = resumed.state.steps if resumed else 0
        result = search_and_refit(context, resumed)
        status.weights = weights.digest(result.model)
        if group.rank == 0:
            weights.save(task.folder, result.model)
            context.history.save(task.folder, events=task.train.tensorboard)
        return TrainingFigures(
            ranks=group.size,
            shards=task.shards,
            steps=status.step,
            resumed_at=resumed_at,
            epochs=result.outcome.epochs,
            loss=result.outcome.loss,
            validation=result.searched.validation,
            target=context.scale,
            documents=result.documents,
            parameters=sum(parameter.numel() for parameter in result.model.parameters()),
            memory_mb=round(group.max(resident_mb())),
            stepping=context.step_seconds,
            seen=context.step_documents,
            seconds=group.max(time.monotonic() - started),
        )


def load_checkpoint(context: RunContext) -> Checkpoint | None:
    """The newest checkpoint of the run, which all ranks must see; its history becomes the context's.

    Raises:
        RuntimeError: The ranks see checkpoints of different steps.
    """
    newest = checkpoint.newest(context.task.folder)
    steps = newest.state.steps if newest else 0
    with context.status.waiting():
        highest, lowest = context.group.max(steps), -context.group.max(-steps)
    if highest != lowest:
        raise RuntimeError("the ranks found different checkpoints")
    if not newest:
        return None
    tensors = dict(newest.tensors)
    context.history = History(tensors.pop("history"))
    context.status.step = steps
    return Checkpoint(newest.state, tensors)


@dataclass(frozen=True)
class Result:
    """The trained model, its outcome, the outcome of the search for the best epoch, and the documents learnt from."""

    model: nn.Module
    outcome: Outcome
    searched: Outcome
    documents: int


def search_and_refit(context: RunContext, resumed: Checkpoint | None) -> Result:
    """Search for the best epoch by validation; with `train.refit`, then train anew on all documents for as long."""
    options, mask = context.task.train, context.validation_mask
    rows, validation_rows = np.flatnonzero(~mask), np.flatnonzero(mask)
    start: TrainingState | Checkpoint = resumed or TrainingState()
    if resumed is None or resumed.state.phase == SEARCH:
        search = Phase.begin(context, rows, validation_rows, epochs=options.epochs, start=start)
        model = search.run()
        searched = outcome = search.state.best
        start = TrainingState(phase=REFIT, steps=context.status.step, searched=searched)
    else:
        searched = resumed.state.searched
    if options.refit and len(validation_rows):
        rows = np.arange(len(mask))
        refit = Phase.begin(context, rows, validation_rows[:0], epochs=searched.epochs, start=start)
        model, outcome = refit.run(), refit.state.best
    return Result(model, outcome, searched, len(rows))


@dataclass
class Phase:
    """A training from new weights to its last epoch: the search for the best epoch, or the refit.

    Attributes:
        plan: the documents to learn from, and their batches.
        validation_rows: the documents that decide which epoch's weights are kept, rows of the index.
        best_weights: the weights to keep, by name; empty if these are the model's current ones.
        last_step_at: when the last step ended (`time.monotonic`).
    """

    context: RunContext
    trainer: Trainer
    plan: SamplingPlan
    validation_rows: Ints
    state: TrainingState
    reporter: ProgressReporter
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    last_step_at: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls, context: RunContext, rows: Ints, validation_rows: Ints, *, epochs: int, start: TrainingState | Checkpoint
    ) -> "Phase":
        """A phase that learns from `rows` for at most `epochs` epochs, from a new state or from a checkpoint."""
        options, task, group = context.task.train, context.task, context.group
        torch.manual_seed(options.seed)
        terms = context.cache.reader.encoder.vocabulary_size
        model = architecture.build(task.model, task.options, terms=terms, classes=task.outputs)
        trainer = Trainer.of(model, options, group)
        state = start.state if isinstance(start, Checkpoint) else start
        class_weight = None if context.class_weight is None else context.class_weight.cpu().numpy()
        plan = SamplingPlan(rows, options.batch, epochs, options.seed, options.accumulate, class_weight)
        enabled = task.progress and group.rank == 0
        reporter = ProgressReporter(epochs, plan.steps, enabled=enabled, refit=state.phase == REFIT)
        phase = cls(context, trainer, plan, validation_rows, state, reporter)
        if isinstance(start, Checkpoint):
            phase.best_weights = restore(start.tensors, model, trainer.optimizer)
        return phase

    def run(self) -> nn.Module:
        """Train to the end, or until the patience is exhausted; returns the model with the weights to keep."""
        context, state, model = self.context, self.state, self.trainer.model
        batches = training_batches(context.cache, self.plan, context.assignment, epoch=state.epoch, step=state.step)
        with contextlib.closing(batches):
            for _, _, batch in batches:
                self.take_step(batch)
                if state.step == self.plan.steps:
                    self.end_epoch()
                    patience = context.task.train.patience
                    if patience and state.epoch - 1 - state.best.epochs >= patience:
                        break
                if self.checkpoint_is_due():
                    self.save_checkpoint()
        if self.best_weights:
            model.load_state_dict(self.best_weights)
        return model

    def take_step(self, batch: Batch) -> None:
        """Take one step on a global batch, and report it."""
        context, state, options = self.context, self.state, self.context.task.train
        done, total_steps = state.step + (state.epoch - 1) * self.plan.steps, self.plan.epochs * self.plan.steps
        rate = options.lr * state.plateau.factor * learning_rate_factor(options, done, steps=total_steps)
        set_learning_rate(self.trainer.optimizer, rate)
        began = time.monotonic()
        loss = train_step(context, self.trainer, batch, state.steps, rate)
        context.step_seconds += time.monotonic() - began
        context.step_documents += batch.documents
        state.add_step(loss, batch.weight)
        context.status.step = state.steps
        context.status.mark_progress()
        self.report_step(batch, loss / batch.weight, rate)
        context.trimmed_at = malloc_trim.trim_if_due(context.trimmed_at)

    def report_step(self, batch: Batch, loss: float, rate: float) -> None:
        """Add a step with this mean loss and learning rate to the history, and print a progress line if one is due."""
        now, state = time.monotonic(), self.state
        values = {"loss": state.mean_loss, "learning_rate": rate}
        if self.context.group.rank == 0:
            values["memory_mb"] = resident_mb()
            speed = batch.documents / max(1e-9, now - self.last_step_at)
            self.context.history.add(**(values | {"loss": loss, "documents_per_second": speed}))
        self.reporter.step(state.epoch, state.step, documents=batch.documents, **values)
        self.last_step_at = now

    def end_epoch(self) -> None:
        """Evaluate the model, keep its weights if they are the best so far, and go on to the next epoch."""
        state, options = self.state, self.context.task.train
        scores = evaluate(self.context, self.trainer.model, self.validation_rows)
        outcome = Outcome(state.epoch, state.mean_loss, scores)
        accuracy = {"validation_accuracy": scores["accuracy"]} if scores and "accuracy" in scores else {}
        self.reporter.print_line(state.epoch, state.step, end=True, loss=outcome.loss, **accuracy)
        if scores:
            state.plateau.observe(options, scores["loss"])
        state.begin_epoch()
        if options.keep == "last":
            state.best = outcome
        elif outcome.beats(state.best):
            state.best = outcome
            if scores:
                self.best_weights = copy.deepcopy(self.trainer.model.state_dict())

    def checkpoint_is_due(self) -> bool:
        """Whether this rank should write a checkpoint now; only rank 0 ever does."""
        if self.context.group.rank:
            return False
        options = self.context.task.train
        by_step = options.checkpoint_steps and self.state.steps % options.checkpoint_steps == 0
        seconds = time.monotonic() - self.context.checkpointed_at
        return bool(by_step or (options.checkpoint_s and seconds >= options.checkpoint_s))

    def save_checkpoint(self) -> None:
        """Write a checkpoint of this phase."""
        context, trainer = self.context, self.trainer
        tensors = state_tensors(trainer.model, trainer.optimizer, self.best_weights)
        tensors["history"] = context.history.tensor()
        checkpoint.save(context.task.folder, Checkpoint(self.state, tensors))
        context.checkpointed_at = time.monotonic()
        context.status.mark_progress()
