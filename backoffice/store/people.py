"""One spelling for one person, so that nobody is their own second one."""

import unicodedata


def spelled(user: str) -> str:
    """Without case, width and blanks: 'Li Wei', 'ｌｉ ｗｅｉ' and 'liwei ' are one. '' of what is no name."""
    name = "".join(unicodedata.normalize("NFKC", user).casefold().split())
    return name if name.isprintable() else ""


def are_two(first: str, second: str) -> bool:
    """Whether these are two people; nobody is none."""
    return bool(spelled(first) and spelled(second)) and spelled(first) != spelled(second)
