"""A process that opens the device and encodes or decodes once, and again: `_gpu_cold.py DEVICE encode|decode SIDE N`.

Its last line is JSON: seconds to open the device, and of the first and the second turn.
"""

import json
import sys
import time


def main(device: str, what: str, side: int, count: int) -> None:
    from _gpu_cases import picture
    from _gpu_machine import opened
    from gscodec_bench.synthetic import synthetic_file

    from gscodec.decoding.image import open_igs
    from gscodec.encoding.api import encode

    source = picture(side) if what == "encode" else synthetic_file(side, side, count)
    imported = time.perf_counter()
    with opened(device) as machine:

        def turn() -> float:
            began = time.perf_counter()
            if isinstance(source, bytes):
                with open_igs(source, device=machine.device) as image:
                    image.render()
            else:
                encode(source, gaussians=count, preset="fast", steps=1, device=machine.device)
            return time.perf_counter() - began

        open_s = time.perf_counter() - imported
        print(json.dumps({"open_s": open_s, "first_s": turn(), "again_s": turn()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
