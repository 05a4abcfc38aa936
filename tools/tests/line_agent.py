"""Serves one PcscLine to a test as JSON lines, where the test's pcscd can be met: see remote_line.

    <- ["transceive", "00A40000023F00"]     method and arguments; bytes as hex
    -> {"value": "9000"}                    or {"gone": "..."}
"""

import json
import sys

from backoffice.cards.line import CardGone
from tools.pcsc_line import PcscLine, readers


def main(reader: str, wait_s: str, share: str) -> None:
    line = PcscLine(reader, float(wait_s), share == "exclusive")
    print(json.dumps({"value": None}), flush=True)
    for asked in sys.stdin:
        method, *arguments = json.loads(asked)
        arguments = [bytes.fromhex(one) if isinstance(one, str) else one for one in arguments]
        try:
            value = readers() if method == "readers" else getattr(line, method)(*arguments)
        except CardGone as error:
            answer = {"gone": str(error)}
        else:
            answer = {"value": value.hex() if isinstance(value, bytes) else value}
        print(json.dumps(answer), flush=True)
    line.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
