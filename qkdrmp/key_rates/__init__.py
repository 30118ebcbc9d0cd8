"""Key-rate models: how fast two neighbours make keys."""

from qkdrmp.config.registry import Registry
from qkdrmp.key_rates.bb84_sifted import BB84Sifted
from qkdrmp.key_rates.bbm92 import BBM92
from qkdrmp.key_rates.constant import Constant
from qkdrmp.key_rates.cv_gg02 import GG02
from qkdrmp.key_rates.decoy_bb84 import DecoyBB84
from qkdrmp.key_rates.decoy_bb84_finite import FiniteDecoyBB84
from qkdrmp.key_rates.loss_law import LossLaw
from qkdrmp.key_rates.mdi import MDI
from qkdrmp.key_rates.model import (
    Block,
    Fibre,
    GenerationSession,
    HasMeanRate,
    KeyRateModel,
    KnowsLinkRate,
    LimitsFibre,
    LinkRate,
    TimedSession,
)
from qkdrmp.key_rates.plob import PLOB
from qkdrmp.key_rates.trace import RateTrace
from qkdrmp.key_rates.twin_field import TwinField

KEY_RATE_MODELS: Registry[KeyRateModel] = Registry(
    "key-rate model",
    KeyRateModel,
    {
        "bb84-sifted": BB84Sifted,
        "constant": Constant,
        "loss-law": LossLaw,
        "decoy-bb84": DecoyBB84,
        "decoy-bb84-finite": FiniteDecoyBB84,
        "bbm92": BBM92,
        "mdi": MDI,
        "twin-field": TwinField,
        "cv-gg02": GG02,
        "plob": PLOB,
        "trace": RateTrace,
    },
)

__all__ = [
    "BBM92",
    "GG02",
    "KEY_RATE_MODELS",
    "MDI",
    "PLOB",
    "BB84Sifted",
    "Block",
    "Constant",
    "DecoyBB84",
    "Fibre",
    "FiniteDecoyBB84",
    "GenerationSession",
    "HasMeanRate",
    "KeyRateModel",
    "KnowsLinkRate",
    "LimitsFibre",
    "LinkRate",
    "LossLaw",
    "RateTrace",
    "TimedSession",
    "TwinField",
]
