"""Every firmware test under real MicroPython, portable ones in its WebAssembly build and some on an ARM board too."""

import os

import pytest

from tools import interpreters

ARM_WANTED = (True, "soak") if "YKT_SOAK" in os.environ else (True,)
MODULES = interpreters.test_modules()
PORTABLE = [module for module in MODULES if interpreters.constant(module, "PORTABLE", False)]
ARM = [module for module in MODULES if interpreters.constant(module, "ARM", False) in ARM_WANTED]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_under_micropython_unix(module):
    print(interpreters.run_unix(module))


@pytest.mark.parametrize("module", PORTABLE, ids=lambda module: module.stem)
def test_under_micropython_webassembly(module):
    print(interpreters.run_wasm(module))


@pytest.mark.parametrize("module", ARM, ids=lambda module: module.stem)
def test_on_the_emulated_arm_board(module):
    print(interpreters.run_board(module))


PROBES = {
    "failing":     ("class T(unittest.TestCase):\n    def test_x(self):\n        self.assertEqual(1, 2)\n", "1 != 2"),
    "failing_sub": ("class T(unittest.TestCase):\n    def test_x(self):\n        with self.subTest(km=7):\n"
                    "            self.fail()\n", "(km=7)"),
    "cleanup":     ("class T(unittest.TestCase):\n    def test_x(self):\n        self.addCleanup(self.fail, 'late')\n",
                    "late"),
    "broken":      ("import no_such_module\n", "no module named"),
    "empty":       ("", "RAN 0"),
}


@pytest.mark.parametrize("runner", [interpreters.run_unix, interpreters.run_wasm, interpreters.run_board],
                         ids=["unix", "webassembly", "board"])
@pytest.mark.parametrize("probe", PROBES)
def test_a_test_module_that_proves_nothing_is_a_failure(probe, runner, tmp_path):
    source, words = PROBES[probe]
    module = tmp_path / f"test_probe_{probe}.py"
    module.write_text("import unittest\n" + source)

    with pytest.raises(AssertionError) as failure:
        runner(module)

    assert words in str(failure.value)
