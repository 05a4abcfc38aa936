"""How a command is told where the keys are: `wants_keys` declares the arguments, `open_keys` and `open_vault` use them.

A password never stands on a command line, where every user of the machine can read it.
"""

import argparse
import os
import sqlite3
from pathlib import Path

from backoffice.keys import hierarchy, soft, token, token_keys, vault
from backoffice.keys.keyring import Keyring
from backoffice.store import registry
from tools import keys_token

PASSPHRASE_VARIABLE = "YKT_VAULT_PASSPHRASE"


def wants_keys(parser: argparse.ArgumentParser, schemes: bool = False) -> None:
    """--vault, --token and what opens them. schemes: also --scheme, where no database says how keys are derived."""
    parser.add_argument("--vault", type=Path, metavar="FILE", help="密钥库文件 | vault file")
    keys_token.wants_token(parser)
    opens = parser.add_mutually_exclusive_group()
    opens.add_argument("--passphrase-file", type=Path, metavar="FILE",
                       help=f"口令文件，取首行 | its first line is the passphrase (default: ${PASSPHRASE_VARIABLE})")
    opens.add_argument("--key-file", type=Path, metavar="FILE",
                       help="密钥文件，至少 32 个随机字节 | 32 random bytes or more, instead of a passphrase")
    if schemes:
        parser.add_argument("--scheme", default=hierarchy.SCHEME, metavar="NAME",
                            help=f"分散方案:名称或文件 | how keys are derived: a name or a file "
                            f"(default {hierarchy.SCHEME})")


def open_keys(args: argparse.Namespace, db: sqlite3.Connection, caller: str = "") -> Keyring:
    """The keys for a database: of its kind, derived by its scheme. Raises KeysError.

    caller  who is written into the audit; '': the command
    """
    soft.no_core_dumps()
    production, said = registry.is_production(db), registry.scheme(db)
    scheme = hierarchy.of_map(said) if said else hierarchy.scheme()
    if getattr(args, "token", None) is not None:
        opened, second = open_token(args)
        return token_keys.open_keys(opened, second, production, caller or _command(args), scheme)
    return soft.open_keys(_vault_file(args), secret(args), production, caller or _command(args), scheme)


def open_keys_as_they_are(args: argparse.Namespace, caller: str = "") -> Keyring:
    """As open_keys, where no database says whether keys are for tests or for production."""
    scheme = hierarchy.scheme(getattr(args, "scheme", hierarchy.SCHEME))
    if getattr(args, "token", None) is not None:
        opened, second = open_token(args)
        return token_keys.served(opened, second, caller or _command(args), scheme)
    return soft.served(open_vault(args), caller or _command(args), scheme)


def open_token(args: argparse.Namespace) -> tuple[token.Token, vault.Vault | None]:
    """The token, and the vault that serves what it lacks, where --vault names one. Raises KeysError."""
    soft.no_core_dumps()
    return keys_token.open_token(args), None if args.vault is None else open_vault(args)


def open_vault(args: argparse.Namespace) -> vault.Vault:
    """The vault itself, for who makes or changes keys. Raises KeysError."""
    soft.no_core_dumps()
    return vault.open_vault(_vault_file(args), secret(args))


def open_keeper(args: argparse.Namespace) -> tuple[token.Token | vault.Vault, Path]:
    """Where keys are made and changed: the token, or else the vault; and the file that its audit is beside."""
    if getattr(args, "token", None) is not None:
        soft.no_core_dumps()
        opened = keys_token.open_token(args)
        return opened, opened.file
    return open_vault(args), _vault_file(args)


def _vault_file(args: argparse.Namespace) -> Path:
    if args.vault is None and getattr(args, "token", None) is not None:
        raise vault.VaultError("this is done with a vault, not with a token: give --vault")
    if args.vault is None:
        raise vault.VaultError("no keys are named: give --vault, or --token, or both")
    path: Path = args.vault
    return path


def secret(args: argparse.Namespace) -> vault.Secret:
    """What opens the vault. Raises VaultError."""
    if getattr(args, "key_file", None) is not None:
        return vault.read_key_file(args.key_file)
    if getattr(args, "passphrase_file", None) is not None:
        try:
            return bytes(args.passphrase_file.read_bytes().split(b"\n")[0].rstrip(b"\r"))
        except OSError as error:
            raise vault.VaultError(f"{args.passphrase_file}: {error.strerror}") from error
    if PASSPHRASE_VARIABLE not in os.environ:
        raise vault.VaultError(f"no passphrase: give --passphrase-file or --key-file, or set {PASSPHRASE_VARIABLE}")
    return os.environ[PASSPHRASE_VARIABLE].encode()


def _command(args: argparse.Namespace) -> str:
    """'backoffice clear', as a caller."""
    return " ".join(filter(None, (getattr(args, "command", None), getattr(args, "action", None)))) or "ykt"
