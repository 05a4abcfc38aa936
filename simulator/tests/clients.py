"""Other people's programs as clients of our readers. Each has a time-out: they wait for ever on a silent reader."""

import os
import re
import subprocess

from simulator.pcscd import READERS, Pcscd

CLIENT_S = 30


def run(argv: list[str], text: str = "", **environment: str) -> str:
    """What the program printed; raises CalledProcessError or TimeoutExpired."""
    known = {**os.environ, **environment}
    return subprocess.run(
        argv, input=text, env=known, stdout=subprocess.PIPE, text=True, timeout=CLIENT_S, check=True
    ).stdout


def scriptor(pcscd: Pcscd, slot: int, protocol: str, commands: list[str]) -> list[str]:
    """The answers of pcsc-tools' scriptor to commands in hex."""
    text = "".join(f"{command}\n" for command in commands)
    printed = run(pcscd.command(["scriptor", "-r", READERS[slot], "-p", protocol]), text)
    answers = re.findall(r"^< ([0-9A-F\s]+?) : ", printed, re.MULTILINE)
    return [re.sub(r"\s", "", answer) for answer in answers]


def opensc(pcscd: Pcscd, slot: int, commands: list[str]) -> list[str]:
    """The answers of OpenSC's opensc-tool to commands in hex."""
    argv = ["opensc-tool", "--reader", str(slot)]
    for command in commands:
        argv += ["--send-apdu", command]
    answers = []
    for block in run(pcscd.command(argv)).split("Received ")[1:]:
        status = "".join(re.findall(r"SW\d=0x(..)", block))
        # Sixteen bytes a line in hex, and then the same in letters.
        lines = [line[:48] for line in block.split("Sending:")[0].splitlines()[1:]]
        data = "".join(re.findall(r"\b[0-9A-F]{2}\b", " ".join(lines)))
        answers.append(data + status)
    return answers


def tamashell(path: str, commands: list[str]) -> list[str]:
    """The answers of libnfc's raw PN532 shell to bodies in hex, the command code left out."""
    text = "".join(f"{command}\n" for command in [*commands, "q"])
    printed = run(["pn53x-tamashell"], text, LIBNFC_DEVICE=f"pn532_uart:{path}")
    return [re.sub(r"\s", "", answer).upper() for answer in re.findall(r"^Rx: (.*)$", printed, re.MULTILINE)]
