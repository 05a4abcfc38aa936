"""Runs one firmware test module and writes which lines ran: micropython trace_tests.py MODULE FOLDER OUTPUT

FOLDER is firmware/ as MICROPYPATH spells it; only files below it count. OUTPUT gets one `path:line` a line. Needs an
interpreter with sys.settrace. Viper and native functions are not seen.
"""

import sys

import run_tests

module, folder, output = sys.argv[1:]
seen = {}


def trace(frame, event, argument):
    name = frame.f_code.co_filename
    if not name.startswith(folder):
        return None
    lines = seen.setdefault(name, set())
    lines.add(frame.f_lineno)

    def trace_line(frame, event, argument):
        lines.add(frame.f_lineno)
        return trace_line

    return trace_line


sys.settrace(trace)
passed = run_tests.run([module])
sys.settrace(None)
with open(output, "w") as report:
    for name in sorted(seen):
        for line in sorted(seen[name]):
            report.write("%s:%d\n" % (name, line))
sys.exit(0 if passed else 1)
