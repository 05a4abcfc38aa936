"""A line with a modem at its end that answers what the test wrote down, on a clock that the test moves."""


class ModemLine:
    """`answers` maps a command without its CR to what is said to it, bytes; of a list one a time, its last for ever.

    deaf        says nothing
    in_call     hears no commands: all goes to `sent`, until the escape comes
    """

    def __init__(self, clock, answers, escape=b"+++"):
        self.clock = clock
        self.answers = answers
        self.commands = []
        self.sent = b""
        self.opened = 0
        self.deaf = False
        self.in_call = False
        self.hears_escape = True
        self.coming = b""
        self._escape = escape

    def open(self):
        self.opened += 1
        self.coming = b""

    def write(self, data):
        data = bytes(data)
        if self.deaf:
            return
        if self.in_call:
            if data == self._escape and self.hears_escape:
                self.in_call = False
                self.coming += b"\r\nOK\r\n"
            else:
                self.sent += data
            return
        if not data.endswith(b"\r"):
            return
        command = data[:-1].decode().lstrip("\r")
        self.commands.append(command)
        answer = self.answers.get(command, b"\r\nERROR\r\n")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        self.coming += answer
        self.in_call = b"CONNECT" in answer and b"FAIL" not in answer

    def read_into(self, buffer, wait_ms):
        count = min(len(buffer), len(self.coming))
        buffer[:count] = self.coming[:count]
        self.coming = self.coming[count:]
        return count
