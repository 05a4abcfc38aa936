"""The part of unittest that firmware tests use, for MicroPython, which has none.

A test file written for CPython's unittest runs here unchanged as long as it keeps to these names. Tests run in order
of their names, each on a fresh instance. CPython never sees this file: it lies outside both import roots.
"""

import re
import sys


class SkipTest(Exception):
    """Raised to skip the test at hand; the message is the reason."""


def skip(reason):
    """Decorate a test that must not run. MicroPython's functions carry no attributes, so the test is replaced."""

    def decorate(test):
        def skipped(self):
            raise SkipTest(reason)

        return skipped

    return decorate


def skipIf(condition, reason):
    return skip(reason) if condition else lambda test: test


def skipUnless(condition, reason):
    return skipIf(not condition, reason)


class _Raises:
    """What assertRaises returns: swallows the expected exception and keeps it in `exception`."""

    def __init__(self, expected, pattern=None):
        self.expected = expected
        self.pattern = pattern
        self.exception = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            raise AssertionError("%r not raised" % self.expected)
        if not issubclass(kind, self.expected):
            return False
        if self.pattern is not None and not re.search(self.pattern, str(error)):
            raise AssertionError("%r does not match %r" % (str(error), self.pattern))
        self.exception = error
        return True


class _SubTest:
    """What subTest returns: reports a failure under its parameters and lets the test go on."""

    def __init__(self, case, message, params):
        self.case = case
        words = [] if message is None else [str(message)]
        self.label = " (%s)" % ", ".join(words + ["%s=%r" % (name, params[name]) for name in sorted(params)])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            return True
        if not issubclass(kind, Exception) or issubclass(kind, SkipTest):
            return False
        self.case._result.failed(self.case._name + self.label, error)
        return True


class TestCase:
    def setUp(self):
        pass

    def tearDown(self):
        pass

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def addCleanup(self, function, *args, **kwargs):
        """Call `function` after tearDown, last added first, also when setUp or the test failed."""
        self._cleanups.append((function, args, kwargs))

    def subTest(self, msg=None, **params):
        return _SubTest(self, msg, params)

    def skipTest(self, reason):
        raise SkipTest(reason)

    def fail(self, msg=None):
        raise AssertionError(msg or "failed")

    def _check(self, holds, text, values, msg):
        if not holds:
            text = text % values
            raise AssertionError(text if msg is None else "%s : %s" % (text, msg))

    def assertTrue(self, value, msg=None):
        self._check(value, "%r is not true", (value,), msg)

    def assertFalse(self, value, msg=None):
        self._check(not value, "%r is not false", (value,), msg)

    def assertEqual(self, first, second, msg=None):
        self._check(first == second, "%r != %r", (first, second), msg)

    def assertNotEqual(self, first, second, msg=None):
        self._check(first != second, "%r == %r", (first, second), msg)

    def assertIs(self, first, second, msg=None):
        self._check(first is second, "%r is not %r", (first, second), msg)

    def assertIsNot(self, first, second, msg=None):
        self._check(first is not second, "%r is %r", (first, second), msg)

    def assertIsNone(self, value, msg=None):
        self._check(value is None, "%r is not None", (value,), msg)

    def assertIsNotNone(self, value, msg=None):
        self._check(value is not None, "%r is None", (value,), msg)

    def assertIn(self, member, container, msg=None):
        self._check(member in container, "%r not in %r", (member, container), msg)

    def assertNotIn(self, member, container, msg=None):
        self._check(member not in container, "%r in %r", (member, container), msg)

    def assertIsInstance(self, value, kind, msg=None):
        self._check(isinstance(value, kind), "%r is not an instance of %r", (value, kind), msg)

    def assertLess(self, first, second, msg=None):
        self._check(first < second, "%r not less than %r", (first, second), msg)

    def assertLessEqual(self, first, second, msg=None):
        self._check(first <= second, "%r not less than or equal to %r", (first, second), msg)

    def assertGreater(self, first, second, msg=None):
        self._check(first > second, "%r not greater than %r", (first, second), msg)

    def assertGreaterEqual(self, first, second, msg=None):
        self._check(first >= second, "%r not greater than or equal to %r", (first, second), msg)

    def assertRaises(self, expected, function=None, *args, **kwargs):
        context = _Raises(expected)
        if function is None:
            return context
        with context:
            function(*args, **kwargs)

    def assertRaisesRegex(self, expected, pattern, function=None, *args, **kwargs):
        context = _Raises(expected, pattern)
        if function is None:
            return context
        with context:
            function(*args, **kwargs)


class Result:
    """Counts, and what went wrong, printed as it happens."""

    def __init__(self):
        self.ran = 0
        self.failures = 0
        self.skips = 0

    def failed(self, name, error):
        self.failures += 1
        print("FAIL", name)
        sys.print_exception(error, sys.stdout)

    def skipped(self, name, reason):
        self.skips += 1
        print("SKIP", name, "-", reason)

    def guard(self, name, function, *args, **kwargs):
        """Call one step of a test; returns True if it came back. A test may fail in several steps."""
        try:
            function(*args, **kwargs)
        except SkipTest as reason:
            self.skipped(name, str(reason))
        except Exception as error:
            self.failed(name, error)
        else:
            return True
        return False


def _run_test(case_class, method, result):
    case = case_class()
    case._name = "%s.%s" % (case_class.__name__, method)
    case._result = result
    case._cleanups = []
    result.ran += 1
    if result.guard(case._name, case.setUp):
        result.guard(case._name, getattr(case, method))
        result.guard(case._name, case.tearDown)
    while case._cleanups:
        function, args, kwargs = case._cleanups.pop()
        result.guard(case._name, function, *args, **kwargs)


def _run_class(case_class, result):
    methods = [name for name in sorted(dir(case_class)) if name.startswith("test")]
    if methods and result.guard(case_class.__name__, case_class.setUpClass):
        for method in methods:
            _run_test(case_class, method, result)
        result.guard(case_class.__name__, case_class.tearDownClass)


def run_module(module):
    """Run every TestCase a module holds, in order of name; returns the Result."""
    result = Result()
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if isinstance(value, type) and issubclass(value, TestCase):
            _run_class(value, result)
    return result


def main():
    """Test modules end with it for CPython's sake. Here run_tests.py has already chosen what runs."""
