"""The process behind `packwriter`: verifies the files of a pack and writes them, with nothing else to do.

Run by its path, with `-I -S`: importing the package of this file would cost as much again as the interpreter. So it shares
no code with the rest, only what `packwriter` says of the messages. It ends when its standard input does, which is a
socket whose other end the daemon holds.

A file that it wrote is PID.SERIAL.NUMBER in the folder: what a process of an earlier life still writes has another name.

Arguments: the folder for the files, the descriptor of the shared memory, its size, the folder that xxhash is in.
"""

import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from mmap import mmap

FILE = struct.Struct("<QI16s")
SERIAL = struct.Struct("<Q")
STORED, CORRUPT, FAILED = 0, 1, 2
MOST_ASKED = 1 << 16


def main() -> None:
    """Serve until nobody is left who asks."""
    folder, memory, size, packages = sys.argv[1:5]
    sys.path.append(packages)
    from _hashlib import openssl_md5  # `hashlib` would bring all other hashes along

    from xxhash import xxh64_intdigest

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of its group: the daemon says when to end
    room = memoryview(mmap(int(memory), int(size)))
    link = socket.socket(fileno=0)
    while asked := link.recv(MOST_ASKED):
        (serial,) = SERIAL.unpack_from(asked)
        at, said = 0, bytearray()
        for number, (xxh64, length, md5) in enumerate(FILE.iter_unpack(memoryview(asked)[SERIAL.size :])):
            content = room[at : at + length]
            at += length
            if openssl_md5(content, usedforsecurity=False).digest() != md5 or xxh64_intdigest(content) != xxh64:
                said.append(CORRUPT)
            else:
                said.append(write(f"{folder}/{os.getpid()}.{serial}.{number}", content))
        link.send(said)


def write(name: str, content: memoryview) -> int:
    """Write one file; returns whether it is there, and leaves nothing if it is not."""
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    except OSError:
        return FAILED
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        with suppress(OSError):  # the folder may be gone
            os.unlink(name)  # noqa: PTH108
        return FAILED
    finally:
        os.close(descriptor)
    return STORED


if __name__ == "__main__":
    main()
