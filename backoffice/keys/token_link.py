"""The way to a PKCS#11 token: its file, its PIN, one session for all threads, and what each failure is called.

python-pkcs11 starts the module as a program of one thread does, so all calls into a module go through one lock. A
token has one session and one login in a process; everyone who opens it shares them.
"""

import ctypes
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pkcs11
from pkcs11 import exceptions as refusals
from pkcs11.constants import TokenFlag
from pkcs11.mechanisms import Mechanism

from backoffice.keys.backend import KeysError, Lacks, Unavailable

PIN_VARIABLE = "YKT_TOKEN_PIN"
LABEL_BYTES_MAX = 32  # CK_TOKEN_INFO
PIN_BYTES_MIN = 4
PIN_BYTES_MAX = 255
_CONFIG_BYTES_MAX = 1 << 16
_LOOKS_MAX, _LOOK_AGAIN_S = 5, 0.02
_INIT_TOKEN = 9  # place of C_InitToken among the functions of PKCS#11, of which the binding has all but this one


class TokenError(KeysError):
    """The token refuses. The message says what to do."""


class TokenGone(TokenError, Unavailable):
    """The token, its module or the session is lost. It is opened anew by the next call."""


class TokenFull(TokenError):
    """No room for one more object. Nothing was stored."""


class WrongPin(TokenError):
    """This PIN does not open the token."""


class PinLocked(TokenError):
    """Too many wrong PINs: the security officer must set another."""


class Config(NamedTuple):
    """Where a token is. The file holds these as JSON, and never a PIN."""

    module: str  # path of the vendor's PKCS#11 library
    token: str  # label
    slot: int | None = None  # where several tokens have the label
    strict: bool = False  # nothing at all is read out of the token: no TACs of 3DES


# What a failure means: the token is out of reach; the token has no room; it cannot do that at all.
_LOST = (
    refusals.DeviceError, refusals.DeviceRemoved, refusals.GeneralError, refusals.FunctionFailed,
    refusals.SessionClosed, refusals.SessionHandleInvalid, refusals.TokenNotPresent, refusals.TokenNotRecognised,
    refusals.NoSuchToken, refusals.ObjectHandleInvalid, refusals.KeyHandleInvalid, refusals.UserNotLoggedIn,
    refusals.SlotIDInvalid,
)  # fmt: skip
_FULL = (refusals.DeviceMemory, refusals.SessionCount)
_CANNOT = (refusals.MechanismInvalid, refusals.MechanismParamInvalid, refusals.FunctionNotSupported)


def read_config(path: Path) -> Config:
    """Raises TokenError."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_CONFIG_BYTES_MAX))
    except OSError as error:
        raise TokenError(f"{path}: {error.strerror}; make it with `ykt keys token init`") from error
    except ValueError as error:
        raise TokenError(f"{path} is no JSON: it names module and token") from error
    fields = {"module": str, "token": str, "slot": int, "strict": bool}
    if not isinstance(content, dict) or not {"module", "token"} <= content.keys() <= fields.keys():
        raise TokenError(f"{path} has module and token, may have slot and strict, and nothing else")
    for name, value in content.items():
        if type(value) is not fields[name]:
            raise TokenError(f"{path}: {name} is no {fields[name].__name__}")
    config = Config(**content)
    check_label(config.token)
    return config


def write_config(path: Path, config: Config) -> None:
    """A new file; an old one is left alone. Raises TokenError."""
    fields = {name: value for name, value in config._asdict().items() if value not in (None, False)}
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(fields, ensure_ascii=False, indent=1) + "\n")
    except FileExistsError as error:
        raise TokenError(f"{path} is there already: name another file") from error


def check_label(label: str) -> None:
    if not label or len(label.encode()) > LABEL_BYTES_MAX or not label.isprintable() or label != label.strip():
        raise TokenError(f"a token's label has 1 to {LABEL_BYTES_MAX} bytes and no blank at its ends")


def read_pin(path: Path | None, variable: str = PIN_VARIABLE) -> str:
    """The first line of a file, else from the environment; never from the command line. Raises TokenError."""
    if path is None:
        pin = os.environ.get(variable, "")
    else:
        try:
            with path.open("rb") as file:
                raw = file.read(PIN_BYTES_MAX + 2).partition(b"\n")[0].rstrip(b"\r")
        except OSError as error:
            raise TokenError(f"the PIN file {path} cannot be read") from error
        pin = raw.decode(errors="ignore")  # an error of decoding would carry the PIN along
        if pin.encode() != raw:
            raise TokenError(f"the PIN file {path} cannot be read: it is no UTF-8 text")
    if not pin:
        raise TokenError(f"no PIN: name a file that holds it, or set ${variable}")
    _check_pin(pin)
    return pin


def _check_pin(pin: str) -> None:
    if not PIN_BYTES_MIN <= len(pin.encode()) <= PIN_BYTES_MAX:
        raise TokenError(f"a PIN has {PIN_BYTES_MIN} to {PIN_BYTES_MAX} bytes")


class Link:
    """One token as this process has it open. Get it from `link`."""

    def __init__(self, module: "_Module", config: Config, pin: str) -> None:
        self._module = module
        self._config = config
        self._pin = pin
        self._session: Any = None
        self._lost = False  # the module's memory of the token is in doubt
        self.opened = 0  # grows with each opening: what was found in an earlier one is stale
        self.mechanisms: frozenset[Mechanism] = frozenset()

    @contextmanager
    def use(self) -> Iterator[Any]:
        """The session, for this thread alone. Opens it where it is not; failures leave by the names above."""
        with self._module.lock, self._named():
            if os.getpid() != self._module.pid:
                raise TokenGone(f"token {self._config.token} was opened before this process forked: open it anew")
            if self._session is None:
                self._open()
            yield self._session

    def present(self) -> bool:
        """The module still finds the token. Within `use`."""
        try:
            self._module.token(self._config)
        except (pkcs11.PKCS11Error, TokenError):
            self._session, self._lost = None, True
            return False
        return True

    def is_pin(self, pin: str) -> bool:
        return hmac.compare_digest(_digest(pin), _digest(self._pin))

    def close(self) -> None:
        """Within `use`."""
        self._session = None
        self._module.restart()

    def drop(self) -> None:
        """Forget the session; the next `use` opens one."""
        self._session = None

    def _open(self) -> None:
        self._session = None
        if self._lost:
            self._module.restart()
            self._lost = False
        token = self._token()
        try:
            self._session = token.open(rw=True, user_pin=self._pin)
        except refusals.UserAlreadyLoggedIn as error:
            if not self._module.is_known(token.slot.slot_id, self._pin):
                raise WrongPin(f"this PIN does not open token {self._config.token}") from error
            self._session = token.open(rw=True)
        except refusals.UserPinNotInitialized as error:
            raise TokenError(f"token {self._config.token} has no user PIN: `ykt keys token init`") from error
        self._module.logins[token.slot.slot_id] = _digest(self._pin)
        self.mechanisms = frozenset(token.slot.get_mechanisms())
        self.opened += 1

    def _token(self) -> Any:
        """SoftHSM writes its token file at each login of any process, and who looks then finds none: look again."""
        for _ in range(_LOOKS_MAX - 1):
            try:
                return self._module.token(self._config)
            except refusals.NoSuchToken:
                time.sleep(_LOOK_AGAIN_S)
                self._module.restart()
        return self._module.token(self._config)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the module refuses, by our names. Its own texts say nothing that a person could act on."""
        name = self._config.token
        try:
            yield
        except refusals.PinIncorrect as error:
            self._session = None
            raise WrongPin(f"this PIN does not open token {name}") from error
        except refusals.PinLocked as error:
            self._session = None
            raise PinLocked(f"token {name} is locked: its security officer sets another PIN") from error
        except _FULL as error:
            raise full(name) from error
        except _CANNOT as error:
            raise Lacks(f"token {name} cannot do this: {error.__class__.__name__}") from error
        except refusals.MultipleTokensReturned as error:
            raise TokenError(f"several tokens are called {name}: add slot to the token's file") from error
        except _LOST as error:
            self._session, self._lost = None, True
            raise TokenGone(
                f"token {name} does not answer ({error.__class__.__name__}): is it in, is its module running?"
            ) from error
        except pkcs11.PKCS11Error as error:
            raise TokenError(f"token {name} refuses: {error.__class__.__name__} {error}".rstrip()) from error


def full(name: str) -> TokenFull:
    return TokenFull(f"token {name} has no room: destroy retired keys, or take a larger one; nothing is stored")


class _Module:
    """A PKCS#11 library, loaded once in a process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.pid = os.getpid()
        self.links: dict[tuple[str, int | None], Link] = {}
        self.logins: dict[int, bytes] = {}  # slot -> digest of the PIN that it was opened with

    def library(self) -> Any:
        """Loaded and started. Raises PKCS11Error; TokenGone where the library is not there."""
        if not Path(self.path).is_file():
            raise TokenGone(f"there is no PKCS#11 module {self.path}: correct module in the token's file")
        return pkcs11.lib(self.path)

    def token(self, config: Config) -> Any:
        """Raises PKCS11Error."""
        library = self.library()
        if config.slot is None:
            return library.get_token(token_label=config.token)
        for slot in library.get_slots():
            if slot.slot_id == config.slot:
                token = slot.get_token()
                if token.label == config.token:
                    return token
        raise refusals.NoSuchToken

    def is_known(self, slot_id: int, pin: str) -> bool:
        """A token that is open already is asked for no PIN: it must be the one that opened it."""
        return hmac.compare_digest(self.logins.get(slot_id, b""), _digest(pin))

    def restart(self) -> None:
        """All sessions of all tokens end, those of other links too: they open anew."""
        library = self.library()
        for other in self.links.values():
            other.drop()
        self.logins.clear()
        library.finalize()
        library.initialize()


_modules: dict[str, _Module] = {}
_modules_lock = threading.Lock()
_salt = secrets.token_bytes(16)


def _digest(pin: str) -> bytes:
    return hashlib.blake2b(pin.encode(), key=_salt).digest()


def _module(path: str) -> _Module:
    with _modules_lock:
        module = _modules.get(path)
        if module is None or module.pid != os.getpid():
            module = _modules[path] = _Module(path)
        return module


def link(config: Config, pin: str) -> Link:
    """The link to a token; opened by its first `use`. Raises WrongPin where it is open with another PIN."""
    _check_pin(pin)
    module = _module(config.module)
    place = (config.token, config.slot)
    with module.lock:
        found = module.links.get(place)
        if found is None or (not found.is_pin(pin) and found._session is None):
            found = module.links[place] = Link(module, config, pin)
        elif not found.is_pin(pin):
            raise WrongPin(f"this PIN does not open token {config.token}")
        return found


def init(config: Config, so_pin: str, pin: str) -> None:
    """Make a token in a free slot and set its user PIN. Raises TokenError: the label is taken, no slot is free."""
    check_label(config.token)
    _check_pin(so_pin)
    _check_pin(pin)
    module = _module(config.module)
    with module.lock, Link(module, config, pin)._named():
        library = module.library()
        slots = [slot for slot in library.get_slots() if config.slot in (None, slot.slot_id)]
        tokens = [slot.get_token() for slot in slots]
        if any(token.label == config.token for token in tokens if _is_made(token)):
            raise TokenError(f"a token is called {config.token} already: take another label")
        free = [slot for slot, token in zip(slots, tokens, strict=True) if not _is_made(token)]
        if not free:
            raise TokenError("no slot has a blank token: put one in, or blank one with its vendor's tool")
        _init_token(config, free[0].slot_id, so_pin)
        session = module.token(config._replace(slot=None)).open(rw=True, so_pin=so_pin)
        try:
            session.init_pin(pin)
        finally:
            session.close()


def _is_made(token: Any) -> bool:
    return bool(token.flags & TokenFlag.TOKEN_INITIALIZED)


def _init_token(config: Config, slot_id: int, so_pin: str) -> None:
    """C_InitToken, through the table of functions that every module gives out."""
    number = ctypes.c_ulong
    library = ctypes.CDLL(config.module)
    table = ctypes.c_void_p()
    if library.C_GetFunctionList(ctypes.byref(table)):
        raise TokenError(f"{config.module} is no PKCS#11 module")
    functions = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    prototype = ctypes.CFUNCTYPE(number, number, ctypes.c_char_p, number, ctypes.c_char_p)
    address = functions[1 + _INIT_TOKEN]  # the first entry is the version
    if address is None:
        raise Lacks("this module makes no tokens: use its vendor's tool")
    label = config.token.encode().ljust(LABEL_BYTES_MAX)
    outcome = prototype(address)(slot_id, so_pin.encode(), len(so_pin.encode()), label)
    if outcome:
        raise TokenError(f"the module made no token (CKR {outcome:#x}): check the security officer's PIN")
