"""What an interpreter runs before the program: a collection behind every few objects, and full ones all the time."""

import gc
import threading
import time


def collect():
    while True:
        gc.collect()
        time.sleep(0.005)


gc.set_threshold(1, 1, 1)
threading.Thread(target=collect, daemon=True).start()
