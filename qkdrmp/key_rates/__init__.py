"""Key-rate models: how fast two neighbours make keys."""

from qkdrmp.config.registry import Registry
from qkdrmp.key_rates.bb84_sifted import BB84Sifted
from qkdrmp.key_rates.constant import Constant
from qkdrmp.key_rates.model import Block, Fibre, GenerationSession, HasMeanRate, KeyRateModel, LimitsFibre

KEY_RATE_MODELS: Registry[KeyRateModel] = Registry(
    "key-rate model", KeyRateModel, {"bb84-sifted": BB84Sifted, "constant": Constant}
)

__all__ = [
    "KEY_RATE_MODELS",
    "BB84Sifted",
    "Block",
    "Constant",
    "Fibre",
    "GenerationSession",
    "HasMeanRate",
    "KeyRateModel",
    "LimitsFibre",
]
