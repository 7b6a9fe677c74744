"""The training loop: one for all models, the same in one process and in many."""

import contextlib
import copy
import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from models.bundles import architecture, weights
from models.dataset.loader import Batch, Plan, batches
from models.dataset.ragged import Ints
from models.ranks import exit_records, malloc_trim, process_group
from models.ranks.progress import Reporter
from models.training import checkpoint
from models.training.evaluation import evaluate
from models.training.history import History, resident_mb
from models.training.losses import loss
from models.training.optimizers import factor, set_rate, shrink
from models.training.run_context import Work, prepare
from models.training.state import REFIT, SEARCH, Outcome, Saved, State, restore
from models.training.state import tensors as state_tensors
from models.training.task import Options, Task
from models.training.trainer import Learner

__all__ = ["Options", "Task", "fit"]


def fit(task: Task) -> dict[str, Any]:
    """Train `task.model`, write its weights into `task.folder`; returns the same figures on every rank.

    It goes on from the folder's newest checkpoint. `steps` are all of them, the refit's too; `epochs`, `loss` and
    `documents` belong to the weights kept.

    Raises:
        ValueError: no labelled document, an impossible setting, a broken vocabulary, a loss that is no number.
    """
    started = time.monotonic()
    timeout_s = task.train.timeout_s
    with (
        exit_records.leave(task.proofs, timeout_s=timeout_s) as witness,
        process_group.join(timeout_s=timeout_s, gpu=task.train.gpu) as group,
    ):
        # Moments of rare terms fade below 1e-38 in some 800 steps; a processor takes far longer over such numbers.
        torch.set_flush_denormal(True)
        if task.train.threads:
            torch.set_num_threads(task.train.threads)
        witness.alive()
        work = prepare(task, group, witness)
        saved = resumed(work)
        resumed_at = saved[1].steps if saved else 0
        rows, held = np.flatnonzero(~work.held), np.flatnonzero(work.held)
        if saved is None or saved[1].phase == SEARCH:
            model, state = train(work, rows, held, task.train.epochs, State(), saved)
            found, saved = state.best, None
        else:
            found = saved[1].found
        outcome = found
        if task.train.refit and len(held):
            rows = np.arange(len(work.held))
            begin = State(phase=REFIT, steps=work.witness.step, found=found)
            model, state = train(work, rows, held[:0], found.epochs, begin, saved)
            outcome = state.best
        witness.weights = exit_records.digest(model)
        if group.rank == 0:
            weights.save(task.folder, model)
            work.history.save(task.folder, events=task.train.tensorboard)
        return {
            "ranks": group.size,
            "shards": task.shards,
            "steps": witness.step,
            "resumed_at": resumed_at,
            "epochs": outcome.epochs,
            "loss": outcome.loss,
            "validation": found.validation,
            "target": asdict(work.scale),
            "documents": len(rows),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "memory_mb": round(group.highest(resident_mb())),
            "stepping": work.stepping,
            "seen": work.seen,
            "seconds": group.highest(time.monotonic() - started),
        }


def resumed(work: Work) -> Saved | None:
    """The newest checkpoint, which every rank must have found.

    Raises:
        RuntimeError: the ranks found different ones.
    """
    found = checkpoint.newest(work.task.folder)
    steps = found[1]["steps"] if found else 0
    with work.witness.waiting():
        highest, lowest = work.group.highest(steps), -work.group.highest(-steps)  # both, on every rank
    if highest != lowest:
        raise RuntimeError("the ranks found different checkpoints")
    if not found:
        return None
    tensors, values = found
    work.history = History(tensors.pop("history"))
    work.witness.step = steps
    return tensors, State.of(values)


def train(
    work: Work, rows: Ints, held: Ints, epochs: int, state: State, saved: Saved | None
) -> tuple[nn.Module, State]:
    """Learn from `rows` for at most `epochs`; the weights that do best on the rows `held` are kept."""
    options, task, group = work.task.train, work.task, work.group
    torch.manual_seed(options.seed)
    terms = work.feed.reader.encoder.terms
    model = architecture.build(task.model, task.options, terms=terms, classes=task.outputs)
    learner = Learner.of(model, options, group)
    kept: dict[str, Tensor] = {}
    if saved:
        state, kept = saved[1], restore(saved[0], model, learner.descent)
    class_weight = None if work.class_weight is None else work.class_weight.cpu().numpy()
    plan = Plan(rows, options.batch, epochs, options.seed, options.accumulate, class_weight)
    reporter = Reporter(epochs, plan.steps, enabled=task.progress and group.rank == 0, refit=bool(state.phase))
    began = time.monotonic()
    with contextlib.closing(batches(work.feed, plan, work.place, epoch=state.epoch, step=state.step)) as stream:
        for _, _, batch in stream:
            done = state.step + (state.epoch - 1) * plan.steps
            rate = options.lr * state.plateau.factor * factor(options, done, steps=epochs * plan.steps)
            set_rate(learner.descent, rate)
            before = time.monotonic()
            total = learn(work, learner, batch, state.steps, rate)
            work.stepping += time.monotonic() - before
            work.seen += batch.documents
            state.step, state.steps = state.step + 1, state.steps + 1
            state.total = [state.total[0] + total, state.total[1] + batch.weight]
            work.witness.step = state.steps
            work.witness.alive()
            began = tell(work, reporter, state, batch, total / batch.weight, rate, began)
            work.trimmed = malloc_trim.trim(work.trimmed)
            if state.step == plan.steps:
                kept = end_epoch(work, model, held, state, reporter) or kept
                if options.patience and state.epoch - 1 - state.best.epochs >= options.patience:
                    break
            if due(work, state.steps):
                save(work, state, learner, kept)
    if kept:
        model.load_state_dict(kept)
    return model, state


def learn(work: Work, learner: Learner, batch: Batch, step: int, rate: float) -> float:
    """One step on a global batch; the sum of its losses over all ranks.

    Raises:
        ValueError: that is no number.
    """
    options, model = work.task.train, learner.model
    learner.gradients.clear()
    learner.streams.begin(step)
    own = torch.zeros((), device=work.group.device)
    for part in batch.parts:
        learner.streams.deal(part.shards)
        there = part.to(work.group.device)
        with torch.autocast(work.group.device.type, torch.bfloat16, enabled=options.autocast):
            outputs = model(there.inputs)
        losses = loss(options, outputs, there, work.class_weight)
        (losses / batch.weight).backward()  # type: ignore[no-untyped-call]
        learner.gradients.collect()
        own += losses.detach()
    with work.witness.waiting():
        total = learner.gradients.sync(own)
    if not math.isfinite(total):
        raise ValueError(f"the loss is {total} at step {step + 1}: try a lower train.lr")
    if options.clip:
        clip_grad_norm_(model.parameters(), options.clip)
    learner.descent.step()
    if options.l1:
        shrink(model.parameters(), rate * options.l1)
    return total


def tell(work: Work, reporter: Reporter, state: State, batch: Batch, mean: float, rate: float, began: float) -> float:
    """Note a step's figures, and print some of them now and then; the time at which the next step begins."""
    now = time.monotonic()
    values = {"loss": mean, "learning_rate": rate}
    if work.group.rank == 0:
        memory = resident_mb()
        work.history.add(**values, documents_per_second=batch.documents / max(1e-9, now - began), memory_mb=memory)
        values["memory_mb"] = memory
    values["loss"] = state.total[0] / state.total[1]
    reporter.step(state.epoch, state.step, documents=batch.documents, **values)
    return now


def end_epoch(work: Work, model: nn.Module, held: Ints, state: State, reporter: Reporter) -> dict[str, Tensor] | None:
    """Evaluate after an epoch, and set `state` to the next; the weights, where a later epoch may be a worse one."""
    scores = evaluate(work, model, held)
    outcome = Outcome(state.epoch, state.total[0] / state.total[1], scores)
    more = {"validation_accuracy": scores["accuracy"]} if scores and "accuracy" in scores else {}
    reporter.say(state.epoch, state.step, end=True, loss=outcome.loss, **more)
    if scores:
        state.plateau.see(work.task.train, scores["loss"])
    state.epoch, state.step, state.total = state.epoch + 1, 0, [0.0, 0.0]
    last = work.task.train.keep == "last"
    if not last and not outcome.beats(state.best):
        return None
    state.best = outcome
    return None if last or not len(held) else copy.deepcopy(model.state_dict())


def due(work: Work, steps: int) -> bool:
    """Whether this rank is to write a checkpoint now."""
    if work.group.rank:
        return False
    options = work.task.train
    by_step = options.checkpoint_steps and steps % options.checkpoint_steps == 0
    return bool(by_step or (options.checkpoint_s and time.monotonic() - work.saved >= options.checkpoint_s))


def save(work: Work, state: State, learner: Learner, kept: dict[str, Tensor]) -> None:
    """Write a checkpoint."""
    tensors = state_tensors(learner.model, learner.descent, kept) | {"history": work.history.tensor()}
    checkpoint.save(work.task.folder, state.steps, tensors, asdict(state))
    work.saved = time.monotonic()
    work.witness.alive()
