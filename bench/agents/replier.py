"""A web server that does next to nothing: one request per connection, one fixed answer, close.

replier.py ADDRESS PORT
"""

import os
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=4096)
# accept() returns when the request is there: one wakeup per connection.
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cores[1 % len(cores)]})
print("listening", flush=True)
while True:
    peer, _ = listener.accept()
    try:
        peer.recv(2048)
        peer.send(ANSWER)
    except OSError:
        pass  # the client gave up; the next one is waiting
    peer.close()
