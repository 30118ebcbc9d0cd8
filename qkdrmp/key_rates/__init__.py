"""Key-rate models: how fast two neighbours make keys."""

from qkdrmp.key_rates.bb84_sifted import BB84Sifted
from qkdrmp.key_rates.constant import Constant
from qkdrmp.key_rates.model import Block, Fibre, GenerationSession, KeyRate

KEY_RATES: dict[str, type] = {"bb84-sifted": BB84Sifted, "constant": Constant}
"""The key-rate models a scenario can name."""

__all__ = ["KEY_RATES", "BB84Sifted", "Block", "Constant", "Fibre", "GenerationSession", "KeyRate"]
