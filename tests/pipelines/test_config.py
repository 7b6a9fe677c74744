"""The command line's grammar: precedence, one clear sentence for each mistake, and what `--help` says."""

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest

from models.options.fields import described
from pipelines import config
from pipelines.arguments.job_keys import JOBS, SHARED
from pipelines.arguments.values import as_argument, default, describe_type, parse
from pipelines.config import GROUPS, Common, Names, component, help_text, load, members, settings_of
from pipelines.errors import UserError

EACH_MEMBER = [(group, name) for group in GROUPS for name in members(group)]
DEFAULTS = {"source": "bbc", "features": "words", "model": "mlp"}


def with_member(group: str, name: str) -> Names:
    """The default choices, but for one group."""
    return Names(**DEFAULTS | {group: name})


def test_arguments_win_over_files_and_files_over_defaults() -> None:
    assert load().names.source == "bbc"
    assert load(["model=logistic"]).names.model == "logistic"
    assert load(["train.epochs=3"]).train.epochs == 3
    assert load(["source=files", "source.path=/a", "source.separator=\\t"]).source.separator == "\t"
    assert load(["dataset=mine"]).dataset_name == "mine"
    assert load(["source=r8"]).dataset_name == "r8"
    assert load(["source=newsgroups"]).dataset_name == "newsgroups"
    some = [load(["source=newsgroups", f"source.classes=[{names}]"]) for names in ("a.b,c", "c,a.b", "c")]
    assert some[0].dataset_name == some[1].dataset_name != some[2].dataset_name
    assert some[0].dataset_name.startswith("newsgroups-")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("train.epoch=3", r"unknown key 'train.epoch'; did you mean 'train.epochs'\?"),
        ("lakes=x", r"unknown key 'lakes'; did you mean 'lake'\?"),
        ("model.droput=0.1", r"did you mean 'model.dropout'\?"),
        ("model=mpl", r"no model is named 'mpl'; did you mean 'mlp'\?"),
        ("source=../../etc", "no source is named"),
        ("train.epochs=many", "train.epochs"),
        ("train.epochs=0", "train.epochs"),
        ("split.test=1.5", "split"),
        ("train", "not of the form key=value"),
        ("features.pattern=(", "features.pattern"),
        ("tfidf.norm=l3", "tfidf.norm"),
        ("train.lr=1e400", r"train\.lr must be a number"),
        ("train.seed=99999999999999999999999", r"train\.seed"),
        ("lake=", "lake is empty"),
        ("lake=s3://bucket/x", "only local paths and hdfs: are supported"),
        ("lake=${oc.env:HOME}", "must not contain"),
        ("dataset=???", "must not contain"),
        ("dataset=../x", "dataset must be a folder"),
        ("run=a/b", "run must be a folder"),
    ],
)
def test_a_mistake_gets_one_sentence(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load([argument])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "source.path is required"),
        (["source.path="], "source.path is empty"),
        (["source.path=/a", "source.format=xml"], "source.format must be one of .*, not xml"),
        (["source.path=/a", "source.encoding=klingon"], "source.encoding"),
        (["source.path=/a", "source.separator=;;"], "source.separator"),
        (["source.path=/a", "source.max_bytes=0"], "source.max_bytes"),
        (["source.path=/a", f"source.max_bytes={10**26}"], "source.max_bytes"),
        (["source.path=/a", "source.encoding=base64"], "source.encoding"),
    ],
)
def test_files_options_are_checked(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(["source=files", *arguments])


@pytest.mark.parametrize(
    "text",
    [
        ",",
        ":",
        "&",
        '"',
        "|",
        "#",
        " ",
        "no",
        "007",
        "1_000",
        "1e5",
        "1.10",
        "@type",
        "*.csv",
        "{a,b}",
        "[ab]* #c",
    ],
)
def test_text_is_taken_letter_by_letter(text: str) -> None:
    assert load(["source=files", "source.path=/a", f"source.text={text}"]).source.text == text
    if len(text) == 1 and text != '"':
        assert load(["source=files", "source.path=/a", f"source.separator={text}"]).source.separator == text
    assert load(["source=files", f"source.path=/a/{text}"]).source.path == f"file:///a/{text}"


def test_null_takes_a_value_away_and_lists_stay_lists() -> None:
    assert load(["source=files", "source.path=/a", "source.label=null"]).source.label is None
    assert load(["model.hidden=[8,4]", "train.lr=1e-4", "train.refit=false"]).model.hidden == [8, 4]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("models=a,b", "models must be a list such as [logistic,mlp], not a,b; write 'models=[a,b]'"),
        ("models=", "models must be a list such as [logistic,mlp], not nothing"),
        ("models={a: b}", "models must be a list such as [logistic,mlp], not {a: b}"),
        ("models=[[a]]", "models must be a list such as [logistic,mlp], not [[a]]"),
        ("model.hidden=many", "model.hidden must be a list of whole numbers such as [256], not many"),
        ("model.hidden=[1.5]", "model.hidden must be a list of whole numbers such as [256], not [1.5]"),
        ("model.hidden=[1,", "model.hidden must be a list of whole numbers such as [256], not [1,"),
        ("train.epochs=", "train.epochs must be a whole number such as 10, not nothing"),
        ("train.epochs=1.5", "train.epochs must be a whole number such as 10, not 1.5"),
        ("train.epochs=null", "train.epochs must be a whole number such as 10, not null"),
        ("train.timeout_s=1:30", "train.timeout_s must be a number such as 600.0, not 1:30"),
        ("train.lr=[1]", "train.lr must be a number such as 0.001, not [1]"),
        ("train.refit=maybe", "train.refit must be true or false, not maybe"),
        ("train.gpu=2", "train.gpu must be true or false, not 2"),
        ("dataset=null", "dataset must be text, not null"),
        ("models=[???]", "models must be a list such as [logistic,mlp], not [???]"),
    ],
)
def test_a_value_of_another_type_is_named_with_the_type_and_an_example(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        load([argument])


def test_numbers_are_what_people_write_and_not_what_yaml_makes_of_them() -> None:
    found = load(["train.batch=010", "train.seed=1_000", "train.lr=1e-4", "train.clip=3", "train.epochs=+5"]).train
    assert (found.batch, found.seed, found.lr, found.clip, found.epochs) == (10, 1000, 1e-4, 3.0, 5)
    assert isinstance(found.clip, float)
    assert load(["overlap_s=inf"]).overlap_s == float("inf")
    assert [load([f"train.refit={word}"]).train.refit for word in ("Yes", "on", "1", "off", "FALSE")] == [True] * 3 + [
        False
    ] * 2


def test_items_of_lists_stay_as_they_are_and_a_lone_value_is_a_list_of_one() -> None:
    assert load(["models=[yes,007,1e3,0x10]"]).models == ["yes", "007", "1e3", "0x10"]
    assert load(["bundles=[hdfs://host/a b,'/c,d']"]).bundles == ["hdfs://host/a b", "file:///c,d"]
    assert load(["models=[]"]).models == []
    assert load(["models=mlp", "model.hidden=8"]).models == ["mlp"]
    assert load(["model.hidden=8"]).model.hidden == [8]
    assert load(["grid=train.lr=1e-3|3e-3"]).grid == ["train.lr=1e-3|3e-3"]


def test_paths_are_addresses_that_are_the_same_in_every_process() -> None:
    here = f"file://{os.getcwd()}"
    config = load(["lake=a/", "bundle=hdfs://host/b/", "output=/c", "bundles=[d,file:/e]"])
    assert (config.lake, config.bundle, config.output) == (f"{here}/a", "hdfs://host/b", "file:///c")
    assert config.bundles == [f"{here}/d", "file:///e"]
    assert config.report == ""
    with pytest.raises(UserError, match=r"^bundles=s3://f: only local paths and hdfs: are supported$"):
        load(["bundles=[a,s3://f]"])


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        ("ingest", ["train.epochs=3"], "train.epochs belongs to train and compare, not to ingest"),
        ("ingest", ["model=rnn"], "model belongs to train, not to ingest"),
        (
            "ingest",
            ["split.salt=1"],
            "split.salt belongs to clean, featurize, train, evaluate, compare and ensemble, not",
        ),
        ("clean", ["run=a"], "run belongs to train and ensemble, not to clean"),
        ("train", ["bundle=a"], "bundle belongs to evaluate and predict, not to train"),
        ("evaluate", ["bundle=a", "features=jieba"], "features belongs to featurize, train, compare and maintain, not"),
        ("maintain", ["models=[mlp]"], "models belongs to compare, not to maintain"),
        ("", ["model.heads=4"], "model.heads belongs to model=attention and hybrid, not to mlp"),
        ("train", ["model=rnn", "model.heads=4"], "model.heads belongs to model=attention and hybrid, not to rnn"),
        ("", ["source.format=csv"], "source.format belongs to source=files, not to bbc"),
        (
            "compare",
            ["models=[rnn]", "model.cell=gru"],
            "not to mlp; to set it for them alone, write 'grid=[model.cell=...]'",
        ),
        ("ingest", ["train.epoch=3"], "unknown key 'train.epoch'; "),
        ("ingest", ["spilt.salt=3"], "unknown key 'spilt.salt'; "),
    ],
)
def test_a_key_of_another_job_or_member_is_named_as_such(job: str, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load(arguments, job)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("job", JOBS)
def test_each_job_takes_the_shared_keys_its_own_and_no_others(job: str) -> None:
    needed = [f"{key}=x" for key in JOBS[job].required]
    shared = ["lake=/x", "dataset=x", "report=/x", "overlap=leave", "overlap_s=1"]
    assert [argument.partition("=")[0] for argument in shared] == list(SHARED)
    load([*needed, *shared], job)
    for key, item in settings_of(Names(**DEFAULTS)).items():
        argument = f"{key}={as_argument(default(item))}"
        if JOBS[job].accepts(key):
            continue
        with pytest.raises(UserError, match=f"^{key} belongs to .*, not to {job}$"):
            load([*needed, argument], job)


@pytest.mark.parametrize(("job", "key"), [(job, key) for job in JOBS for key in JOBS[job].required])
def test_what_a_job_cannot_do_without_is_asked_for(job: str, key: str) -> None:
    others = [f"{other}=x" for other in JOBS[job].required if other != key]
    for given in ([], [f"{key}=[]" if key.endswith("s") else f"{key}="]):
        with pytest.raises(UserError, match=f"^{key} is required and has no default: "):
            load([*others, *given], job)
    assert load(others), "without a job all keys have defaults"


def test_a_training_and_its_maintenance_may_be_given_one_list() -> None:
    both = ["source=files", "source.path=/in", "train.reuse=true", "model=rnn", "model.cell=gru", "report=/a.json"]
    assert load(both, "train").train == load(both, "maintain").train


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epochs: many\n", "train.epochs must be a whole number such as 10"),
        ("model:\n  hidden: {a: 1}\n", "model.hidden must be a list of whole numbers such as [256]"),
        ("model:\n  hidden: [a]\n", "model.hidden must be a list of whole numbers such as [256]"),
        ("model: 3\n", "unknown key 'model'"),
        ("train:\n  epoch: 3\n", "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("trian:\n  epochs: 3\n", "unknown key 'trian.epochs'; did you mean 'train.epochs'?"),
        ("train: [\n", "is not YAML: "),
        ("- train\n", "is not a mapping of keys to values"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """OmegaConf's and YAML's own words are for programmers."""
    for name in ("default.yaml", "source/bbc.yaml", "features/words.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((config.CONF / name).read_text())
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mlp.yaml").write_text(text)
    monkeypatch.setattr(config, "CONF", tmp_path)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/model/mlp.yaml")) as error:
        load()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not re.search(r"Node|DictConfig|ListConfig|full_key", str(error.value))


@pytest.mark.parametrize(("group", "name"), EACH_MEMBER)
def test_every_setting_says_what_it_means_in_one_sentence(group: str, name: str) -> None:
    for key, item in settings_of(with_member(group, name)).items():
        meaning = described(item, "meaning")
        assert 15 <= len(meaning) <= 110, key
        assert re.fullmatch(r"[A-Z0-9`].*[^.]\.", meaning), (key, meaning)
        assert len(meaning.split()) >= 3, key


@pytest.mark.parametrize(("group", "name"), EACH_MEMBER)
def test_every_default_can_be_given_as_help_shows_it(group: str, name: str) -> None:
    for key, item in settings_of(with_member(group, name)).items():
        value = default(item)
        found = parse(key, as_argument(value), item)
        assert (found, type(found)) == (value, type(value)), key
        assert re.match(
            r"a whole number such as -?\d|a number such as \d|text$|true or false$|a list ", describe_type(item)
        ), key


@pytest.mark.parametrize(("group", "name"), EACH_MEMBER)
def test_help_shows_the_keys_and_the_defaults_of_the_members_that_are_chosen(group: str, name: str) -> None:
    text = help_text("train", "summary", [f"{group}={name}", "--help"])
    names = with_member(group, name)
    page = dict(re.findall(r"(?m)^  ([a-z0-9_.]+)=(\S*)", text))
    assert set(page) == {key for key in settings_of(names) if JOBS["train"].lists(key)} | set(GROUPS)
    required = [key for key in page if page[key] == "..."]
    resolved = load([f"{group}={name}", *(f"{key}=/x" for key in required)])
    for key in set(page) - {*GROUPS, *required}:
        section, _, last = key.rpartition(".")
        value = getattr(getattr(resolved, section) if section else resolved, last)
        assert page[key] == as_argument(value).removeprefix("file://"), key


@pytest.mark.parametrize("job", JOBS)
def test_help_of_a_job_fits_the_screen_and_shows_its_own_keys_alone(job: str) -> None:
    text = help_text(job, f"{job}: a summary.")
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith(f"usage: spark-submit pipelines/{job}.py [key=value ...]\n\n{job}: a summary.\n")
    listed = re.findall(r"(?m)^  ([a-z0-9_.]+)=", text)
    known = [*settings_of(Names(**DEFAULTS)), *GROUPS]
    assert sorted(listed) == sorted(key for key in known if JOBS[job].lists(key))
    required = re.findall(r"(?m)^  (\S+)=\.\.\.", text)
    assert required == list(JOBS[job].required)
    assert listed[: len(required)] == required, "they come first"
    assert ("\nRequired:\n" in text) == bool(required)


def test_help_asks_for_the_path_of_ones_own_files() -> None:
    for source in ("files", "images"):
        text = help_text("ingest", "summary", [f"source={source}"])
        assert re.search(r"(?m)^Required:\n  source\.path=\.\.\. +F", text)
        assert "source.path" not in text.split("Required:")[1].split("\n", 2)[2].split("Examples:")[0]


def test_help_groups_what_it_shows_and_knows_the_members_defaults() -> None:
    text = help_text("train", "summary", ["model=rnn"])
    for group in GROUPS:
        assert f"{group}={'|'.join(members(group))}" in text
    headings = re.findall(r"(?m)^(\S.*):$", text)
    assert len(set(headings)) == len(headings)
    for heading in ("Data set and reports", "Model rnn", "Training: Processes and memory"):
        assert heading in headings
    assert "  model.length=250 " in text, "as conf/model/rnn.yaml has it"
    assert "  train.lr=0.008 " in text
    with pytest.raises(UserError, match="no model is named 'mpl'"):
        help_text("train", "summary", ["model=mpl"])


@pytest.mark.parametrize("job", JOBS)
def test_the_examples_are_commands_that_the_job_takes(job: str) -> None:
    text = help_text(job, "summary").split("\nExamples:\n")[1]
    commands = re.sub(r" \\\n +", " ", text).splitlines()
    assert len(commands) == len(set(commands)) == 2
    for command in commands:
        submit, path, *arguments = shlex.split(command.replace("<run>", "run"))
        assert (submit, path) == ("spark-submit", f"pipelines/{job}.py")
        assert load(arguments, job).arguments == tuple(arguments)


def test_no_two_sections_share_a_name_with_a_key() -> None:
    """A job's keys and sections are told apart by name alone."""
    sections = {key.partition(".")[0] for key in settings_of(Names(**DEFAULTS)) if "." in key}
    assert not sections & {item.name for item in dataclasses.fields(Common)}
    for keys in JOBS.values():
        assert {*keys.sections} <= sections
        assert {*keys.keys} <= {item.name for item in dataclasses.fields(Common)}
    assert all(component(group, name).Options for group, name in EACH_MEMBER)
