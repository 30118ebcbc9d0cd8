"""A table of what key-rate models give over lengths or losses of a fibre."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
from pydantic import ValidationError

from qkdrmp.config.points import label
from qkdrmp.config.registry import Registry
from qkdrmp.config.sections import ModelSection, sentences
from qkdrmp.errors import QKDRMPError, unknown
from qkdrmp.kernel.units import delay_ticks
from qkdrmp.key_rates import (
    KEY_RATE_MODELS,
    PLOB,
    Fibre,
    HasMeanRate,
    KeyRateModel,
    KnowsLinkRate,
    LimitsFibre,
    LinkRate,
)
from qkdrmp.key_rates.ranges import check
from qkdrmp.key_rates.secret_keys import SecretKeyModel, repeaterless_bound

LONGEST_KM, STEP_KM = 500, 5
SIGNAL_SPEED_M_PER_S = 2e8
COLUMNS = (
    "model",
    "length_km",
    "loss_db",
    "rate_bps",
    "bits_per_pulse",
    "plob_bits_per_pulse",
    "qber",
    "block_s",
    "block_bits",
)


class _Choice(ModelSection):
    """A key-rate model by name with its parameters beside it, as in a scenario."""

    registry: ClassVar[Registry[Any]] = KEY_RATE_MODELS

    model: Any


def secret_key_models() -> list[str]:
    """Return the names of the models of protocols that make secret keys, all parameters of which have defaults."""
    classes = {name: KEY_RATE_MODELS[name] for name in KEY_RATE_MODELS}
    return [name for name, made in classes.items() if issubclass(made, SecretKeyModel) and made is not PLOB]


def key_rate_table(
    models: Iterable[str | Mapping[str, Any] | KeyRateModel] | None = None,
    length_km: Sequence[float] | None = None,
    loss_db: Sequence[float] | None = None,
    attenuation_db_per_km: float = 0.2,
    key_bits: int = 256,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return what key-rate models give over lengths of a fibre, or over losses.

    Parameters
    ----------
    models : iterable of str, mapping or object, optional
        Names, names with parameters as in a scenario (``{"model": "decoy-bb84", "misalignment": 0.01}``), or objects;
        by default all models of secret keys.
    length_km : sequence of float, optional
        Lengths in km (0 or more); by default 0 to 500 km in steps of 5 km, unless losses are given.
    loss_db : sequence of float, optional
        Losses in dB (0 or more) in place of lengths.
    attenuation_db_per_km : float
        Between lengths and losses (above 0).
    key_bits : int
        Length of a key, which matters to `bb84-sifted` only.
    parameters : mapping of str to object, optional
        Values of parameters for all models that are given by name and have them, ``{"optimise": True}``, or for one of
        them, ``{"decoy-bb84.misalignment": 0.01}``.

    Returns
    -------
    pandas.DataFrame
        A row for each model and point: the name of the ``model`` with the parameters that are not its defaults,
        ``length_km``, ``loss_db``, the rate in secret bits, ``rate_bps`` (0 if the link makes no keys, nan where the
        model does not hold) and ``bits_per_pulse``, the bound ``plob_bits_per_pulse`` of all protocols without
        repeaters, the ``qber``, and the time and the secret bits of a block, ``block_s`` and ``block_bits`` (0 without
        blocks). What a model does not say is nan.

    Raises
    ------
    QKDRMPError
        If a model, a parameter or a point is not possible.

    Examples
    --------
    >>> import qkdrmp
    >>> table = qkdrmp.key_rate_table(["decoy-bb84", "twin-field"], length_km=[50, 100, 200])
    >>> table.pivot(index="length_km", columns="model", values="bits_per_pulse").map("{:.2e}".format)
    model     decoy-bb84 twin-field
    length_km
    50.0        2.36e-04   3.57e-04
    100.0       2.09e-05   1.11e-04
    200.0       0.00e+00   1.10e-05
    """
    if length_km is not None and loss_db is not None:
        raise QKDRMPError("loss_db must not be given beside length_km")
    _checked("attenuation_db_per_km", attenuation_db_per_km, above=True)
    if loss_db is None:
        lengths = list(range(0, LONGEST_KM + 1, STEP_KM)) if length_km is None else list(length_km)
        points = [(_checked("length_km", km), km * attenuation_db_per_km) for km in lengths]
    else:
        points = [(db / attenuation_db_per_km, _checked("loss_db", db)) for db in loss_db]
    given = [_given(model) for model in (secret_key_models() if models is None else models)]
    for parameter, value in (parameters or {}).items():
        _set(given, parameter, value)
    chosen = [_built(one) for one in given]
    rows = [row for name, model in chosen for row in _rows(name, model, points, key_bits)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _checked(field: str, value: float, above: bool = False) -> float:
    try:
        good = math.isfinite(value) and (value > 0 if above else value >= 0)
        check(field, value, good, "above 0" if above else "at least 0")
    except (TypeError, ValueError) as error:
        raise QKDRMPError(str(error)) from None
    return float(value)


def _given(model: Any) -> dict[str, Any]:
    """Return a model with its parameters as a mapping."""
    given = dict(model) if isinstance(model, Mapping) else {"model": model}
    if "model" not in given:
        raise QKDRMPError(f"models: {given!r} must have a name, 'model'")
    return given


def _set(given: Iterable[dict[str, Any]], parameter: str, value: Any) -> None:
    """Give a parameter a value, where models have it: in all of them, or in the one whose name stands before it."""
    name, _, field = parameter.rpartition(".")
    named = {label(one["model"]): one for one in given}
    if name and name not in named:
        raise QKDRMPError(f"{parameter}: no chosen model is called {unknown(name, named)}")
    # What one model does not know is an error of that model; of several, some must know it.
    having = [one for model, one in named.items() if (name == model if name else field in _fields(model))]
    if not having:
        known = dict.fromkeys(known for model in named for known in _fields(model))
        raise QKDRMPError(f"{parameter}: no chosen model has the parameter {unknown(field, known)}")
    for one in having:
        one[field] = value


def _fields(name: Any) -> list[str]:
    kind = KEY_RATE_MODELS.get(name)
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _built(given: Mapping[str, Any]) -> tuple[str, Any]:
    """Return a model with the name that it has in the table."""
    name = label(given["model"])
    try:
        built = _Choice.model_validate(given).build()
    except ValidationError as error:
        raise QKDRMPError("\n".join(f"{name}: {text}" for text in sentences(error, _Choice))) from None
    if not isinstance(built, HasMeanRate):
        raise QKDRMPError(f"{name}: the model must have a method mean_rate_bps(fibre, key_bits)")
    return _name(built), built


def _name(model: Any) -> str:
    """Return the registered name of a model, with the parameters that are not its defaults."""
    names = [name for name in KEY_RATE_MODELS if KEY_RATE_MODELS[name] is type(model)]
    name = names[0] if names else type(model).__name__
    if not dataclasses.is_dataclass(model):
        return name
    changed = [field for field in dataclasses.fields(model) if getattr(model, field.name) != field.default]
    given = ", ".join(f"{field.name} = {_text(getattr(model, field.name))}" for field in changed)
    return f"{name} ({given})" if given else name


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _rows(name: str, model: Any, points: Sequence[tuple[float, float]], key_bits: int) -> Iterator[tuple[Any, ...]]:
    for km, db in points:
        made = _made(model, Fibre(km, db, delay_ticks(km, SIGNAL_SPEED_M_PER_S)), key_bits)
        bound = repeaterless_bound(db)
        yield name, km, db, made.rate_bps, made.per_pulse, bound, made.qber, made.block_s, made.block_bits


def _made(model: Any, fibre: Fibre, key_bits: int) -> LinkRate:
    if isinstance(model, LimitsFibre):
        try:
            model.check_fibre(fibre)
        except ValueError:
            return LinkRate(math.nan)
    if isinstance(model, KnowsLinkRate):
        return model.link_rate(fibre)
    return LinkRate(model.mean_rate_bps(fibre, key_bits))
