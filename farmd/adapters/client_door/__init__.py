"""The door for clients: the Unix socket and who may use it (`door`), and what happens to requests (`desk`)."""

from farmd.adapters.client_door.desk import GO_ON, Caller, Patient
from farmd.adapters.client_door.door import ClientDoor

__all__ = ["GO_ON", "Caller", "ClientDoor", "Patient"]
