"""A server that says how much it was sent, once the sender is done, and what asks it."""
import socket, threading, time


def serve(family, address):
    """Listens at the address; what it listens on."""
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
    return listener


def answer_all(listener):
    while True:
        connection, _ = listener.accept()
        data = read_all(connection)
        connection.sendall(b"%d %s" % (len(data), data[-5:]))
        connection.close()


def read_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(to):
    """To a port, or to the socket at a path, once something listens there."""
    family, address = (socket.AF_UNIX, to) if isinstance(to, str) else (socket.AF_INET, ("127.0.0.1", to))
    for _ in range(500):
        connection = socket.socket(family)
        connection.settimeout(20)
        try:
            connection.connect(address)
            return connection
        except (ConnectionRefusedError, FileNotFoundError):
            connection.close()
            time.sleep(0.02)
    raise SystemExit(f"nothing listens at {to}")


def ask(connection, size):
    with connection:
        connection.sendall(b"x" * size + b"hello")
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)
