"""How a case ends a client that it started."""
import subprocess


def end(child):
    """OpenSSH 9.2 looks whether a signal came and waits then: one in between it misses. So it is told until it ends."""
    while True:
        child.terminate()
        try:
            return child.wait(0.5)
        except subprocess.TimeoutExpired:
            pass
