"""Messages between nodes over one open TCP port, CURVE from the first byte.

The port is a ROUTER on which *everything* can be received; each node sends through DEALERs of its own to the ROUTERs of
the others. Bulk has a connection of its own, so that a megabyte does not stand before a heartbeat: a lane to a second
port, where each message is sealed by AES, or, where a firewall does not let it through, a second DEALER to the one port.

- `transport`  the ROUTER, and who may say what
- `dialling`   the links that are wanted
- `link`       the DEALERs to one peer, and how their state is seen without a monitor socket
- `lanes`      the second port, and the way to that of a peer
- `sealing`    keys, nonces and seals of a lane
- `buffers`    memory for what is sealed and opened
- `clients`    requests of clients that come over the port
- `joining`    the door for strangers, and the asking side of it
- `tally`      what was received, sent and dropped, by whom
- `sockets`    options, addresses, descriptors
"""

from farmd.adapters.zmq_transport.joining import Verdict
from farmd.adapters.zmq_transport.sockets import Keys, raise_descriptor_limit, try_to_bind
from farmd.adapters.zmq_transport.tally import Tally
from farmd.adapters.zmq_transport.transport import ZmqTransport

__all__ = ["Keys", "Tally", "Verdict", "ZmqTransport", "raise_descriptor_limit", "try_to_bind"]
