"""A simulated Daraja over real HTTP, for the demo and the tests. Takes no money and sends no messages."""

from . import beside
from .numbers import PEOPLE, person_of
from .server import Simulator

__all__ = ["PEOPLE", "Simulator", "beside", "person_of"]
