"""A child that would run forever."""

import time

if __name__ == "__main__":
    while True:
        time.sleep(60)
