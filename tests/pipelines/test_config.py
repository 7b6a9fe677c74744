"""The command line's grammar: precedence, and one clear sentence for each mistake."""

import pytest

from pipelines.config import GROUPS, help_text, load, members
from pipelines.errors import UserError


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
        ("model.hidden=[1,", r"model\.hidden: cannot read"),
        ("lake=", "lake is empty"),
        ("lake=s3://bucket/x", "only local files and hdfs: are known"),
        ("lake=${oc.env:HOME}", "may not hold"),
        ("dataset=???", "may not hold"),
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
        ([], "source.path is needed"),
        (["source.path="], "source.path is empty"),
        (["source.path=/a", "source.format=xml"], "source.format 'xml'"),
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


def test_help_lists_groups_names_and_keys() -> None:
    text = help_text("train", "summary")
    for group in GROUPS:
        assert f"{group}={'|'.join(members(group))}" in text
    for word in ("bbc|digits|files|", "|linear|logistic|mlp|", "train.epochs=", "tfidf.min_df=", "separator"):
        assert word in text
