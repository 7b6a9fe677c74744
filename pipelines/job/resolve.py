"""From a configuration to the arguments of stages: a data set, and settings of their own types."""

from dataclasses import replace

from pyspark.sql import SparkSession

from models.bundles.bundle import ENSEMBLE
from models.bundles.manifest import Manifest
from pipelines.config import Config, Names, members
from pipelines.evaluation.bundle_scoring import tokenizer_options
from pipelines.lakehouse.dataset import Dataset, open_dataset
from pipelines.lakehouse.locks import Overlap
from pipelines.stages.ingestion import ConfiguredSource
from pipelines.stages.training import TrainingRequest
from pipelines.stages.update import UpdateSettings
from pipelines.tracking.run_identity import TrainingSettings


def configured_dataset(session: SparkSession, config: Config) -> Dataset:
    """The data set and feature set that a configuration names.

    Raises:
        UserError: the lake is a file.
    """
    return open_dataset(session, config.lake, config.dataset_name, config.names.features, config.features)


def configured_source(config: Config) -> ConfiguredSource:
    """The source that a configuration names."""
    return ConfiguredSource(config.names.source, config.source)


def configured_overlap(config: Config) -> Overlap:
    """What to do if another job holds what this one needs."""
    return Overlap(config.overlap, config.overlap_s)


def update_settings(config: Config) -> UpdateSettings:
    """The settings with which a configuration brings tables up to date."""
    return UpdateSettings(configured_source(config), config.split, config.features, configured_overlap(config))


def training_settings(config: Config) -> TrainingSettings:
    """The settings that decide the weights of a configuration's training."""
    return TrainingSettings(
        dataset=config.dataset_name,
        model=config.names.model,
        model_options=config.model,
        feature_set=config.names.features,
        features=config.features,
        tfidf=config.tfidf,
        split=config.split,
        train=config.train,
    )


def training_request(config: Config) -> TrainingRequest:
    """The training that a configuration asks for."""
    return TrainingRequest(
        settings=training_settings(config),
        source=config.names.source,
        run=config.run,
        snapshot=config.snapshot,
        several_labels=bool(getattr(config.source, "label_separator", None)),
        overlap=configured_overlap(config),
    )


def bundle_models() -> tuple[str, ...]:
    """The models that a bundle may hold."""
    return (*members("model"), ENSEMBLE)


def with_features_of(manifest: Manifest, config: Config) -> Config:
    """The configuration with the feature set that a bundle was trained on, from the bundle's manifest."""
    names = Names(config.names.source, str(manifest.features["name"]), manifest.model)
    return replace(config, features=tokenizer_options(manifest), names=names)
