"""The files and options that fill the settings of a run, layer by layer.

Layers, each laid over the one before: conf/base.yaml, conf/<environment>.yaml, one profile from
conf/profiles, then `--set section.key=value` from the command line. A wrong key or value stops the
job before anything is written, naming the layer, the key, what was found and what is allowed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from jobs.runs.addresses import public_part
from jobs.runs.errors import JobError
from jobs.runs.settings.section import Section
from jobs.runs.settings.training import TrainSettings
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse, warehouse_named
from model.family import FAMILY

Layer = tuple[str, dict[str, Any]]
# libyaml's, where PyYAML was built with it, reads base.yaml in a seventh of the time.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def conf_folder() -> Path:
    """conf/ of this checkout, or the folder that NIGHTREEL_CONF names."""
    default = Path(__file__).resolve().parents[2] / "conf"
    folder = Path(os.environ.get("NIGHTREEL_CONF", default))
    if not (folder / "base.yaml").is_file():
        raise JobError(
            f"No configuration: {folder}/base.yaml does not exist. "
            "Set NIGHTREEL_CONF to the folder that holds base.yaml."
        )
    return folder


def load_configuration(
    overrides: list[str] | None = None,
    profile: str | None = None,
    warehouse: str | None = None,
    folder: Path | None = None,
    form: type[Configuration] = Configuration,
) -> Configuration:
    """Read, lay over one another and check all layers.

    `overrides` are strings "section.key=value", the value in YAML; `form` is Configuration or, to
    check the models' own settings too, `with_models()`. Raises JobError for anything
    that is not allowed.
    """
    folder = folder or conf_folder()
    environment = os.environ.get("NIGHTREEL_ENV", "local")
    layers = [
        read_layer(folder / "base.yaml"),
        read_layer(folder / f"{environment}.yaml", "NIGHTREEL_ENV"),
    ]
    if profile:
        layers.append(read_layer(folder / "profiles" / f"{profile}.yaml", "the profile"))
    warehouse = warehouse or os.environ.get("NIGHTREEL_WAREHOUSE")
    if warehouse:
        layers.append(("--warehouse", {"warehouse": warehouse}))
    layers += [parse_override(override) for override in overrides or []]
    return validate(layers, form)


def postgresql_dsn(conf: Configuration) -> str | None:
    """Where published rows are copied to: NIGHTREEL_POSTGRESQL, else conf; None: nowhere."""
    return os.environ.get("NIGHTREEL_POSTGRESQL") or conf.publish.postgresql


def read_layer(file: Path, chosen_by: str = "NIGHTREEL_CONF") -> Layer:
    """Keys and values of a file; `chosen_by` says, in errors, what names it."""
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise JobError(
            f"{file}, which {chosen_by} names, does not exist. "
            f"There are: {known or 'no YAML files there'}."
        )
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), LOADER)
    except yaml.YAMLError as error:
        raise JobError(f"{file} is not valid YAML: {error}") from None
    # A file of comments alone.
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise JobError(f"{file} must hold keys and values, found {type(content).__name__}.")
    return str(file), content


def parse_override(override: str) -> Layer:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise JobError(f"--set {override}: expected section.key=value, as in score.top_k=10.")
    try:
        content: Any = yaml.load(value, LOADER)
    except yaml.YAMLError as error:
        raise JobError(f"--set {override}: the value is not valid YAML: {error}") from None
    for part in reversed(key.strip().split(".")):
        content = {part: content}
    return f"--set {override}", content


def validate(layers: list[Layer], form: type[Configuration]) -> Configuration:
    merged: dict[str, Any] = {}
    for _, content in layers:
        merged = merge(merged, content)
    try:
        checked = form.model_validate(merged)
    except ValidationError as error:
        sentences = [explain(dict(detail), layers, form) for detail in error.errors()]
        raise JobError("\n".join(sentences)) from None
    # Every reader of settings takes them in one form, that of run.json.
    if form is Configuration:
        return checked
    return Configuration.model_validate(checked.model_dump())


def of_today(values: dict[str, Any]) -> dict[str, Any]:
    """A run's settings in today's form.

    Before there was a family, those of its one model lay bare. What models and settings of models
    have joined since the run was started, base.yaml says: the run itself does not know of them.
    Addresses could hold what is secret once. How much worse than the champion a model might be was
    a setting. What is compared was none.
    """
    train = dict(values["train"])
    if "model" not in train:
        bare = set(train) - set(TrainSettings.model_fields)
        train["matrix_factorisation"] = {key: train.pop(key) for key in bare}
        train["model"] = "matrix_factorisation"
    _, base = read_layer(conf_folder() / "base.yaml")
    for name in FAMILY:
        train[name] = base.get("train", {}).get(name, {}) | train.get(name, {})
    named = {section: dict(values[section]) for section in ("ingest", "tracking")}
    for section, key in (("ingest", "source"), ("tracking", "uri")):
        if address := named[section][key]:
            named[section][key] = public_part(address)
    named["evaluate"] = dict(values["evaluate"])
    named["evaluate"].pop("champion_tolerance", None)
    return {"compare": base.get("compare")} | values | {"train": train} | named


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        result[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return result


def explain(detail: dict[str, Any], layers: list[Layer], form: type[Section]) -> str:
    """One sentence for one of pydantic's findings: where, which key, found what, allowed what."""
    # pydantic appends the names of a union's members to the path: they are no keys.
    path = [str(part) for part in detail["loc"] if str(part) in known_words(form)]
    if detail["type"] == "extra_forbidden":
        path = [str(part) for part in detail["loc"]]
    where = next((name for name, content in reversed(layers) if holds(content, path)), None)
    key = ".".join(path) or "the settings"
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(allowed_keys(form, path[:-1]))
        having = [name for name in FAMILY if path[:-1] == ["train"] and holds_key(form, name, path)]
        if having:
            places = ", ".join(f"train.{name}.{path[-1]}" for name in having)
            return f"{where}: unknown key {key}. It is a setting of a model: {places}."
        return f"{where}: unknown key {key}. Allowed here: {allowed}."
    if detail["type"] == "password":
        return f"{key} {detail['msg']}."
    if detail["type"] == "missing":
        return f"{layers[0][0]}: the key {key} is missing."
    message = detail["msg"].removeprefix("Value error, ")
    # Of settings that contradict one another, pydantic shows the whole section.
    found = "" if isinstance(detail["input"], dict) else f"found {detail['input']!r}. "
    return f"{where or layers[0][0]}: {key}: {found}{message}."


def known_words(form: type[Section]) -> set[str]:
    """The keys of a section and of those in it."""
    words = set(form.model_fields)
    for field in form.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            words |= known_words(field.annotation)
    return words


def holds(content: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def holds_key(form: Any, model: str, path: list[str]) -> bool:
    """Whether the section of a model has the last key of a path, as far as `form` knows."""
    section = form.model_fields["train"].annotation.model_fields[model].annotation
    return path[-1] in getattr(section, "model_fields", ())


def allowed_keys(form: Any, path: list[str]) -> list[str]:
    for part in path:
        form = form.model_fields[part].annotation
    return list(form.model_fields)


def warehouse_of(arguments: argparse.Namespace) -> Warehouse:
    """The warehouse: as in --warehouse, else NIGHTREEL_WAREHOUSE, else conf."""
    named = arguments.warehouse or os.environ.get("NIGHTREEL_WAREHOUSE")
    if not named:
        # Reading and checking conf takes longer than most questions take to answer.
        named = load_configuration().warehouse
    return warehouse_named(named)
