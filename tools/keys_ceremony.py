"""`ykt keys ceremony`: plan, hold, interrupt and resume a key ceremony; its minutes. Page: backoffice/docs/ceremony.md.

Exit codes: 0 done, 1 refused or stopped (resumable), 2 wrong usage, 130 interrupted (resumable).
"""

import argparse
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backoffice.keys import audit, ceremony_file, ceremony_plan, ceremony_unattended, hierarchy
from backoffice.keys import ceremony as steps
from backoffice.keys.backend import Backend, KeysError
from backoffice.keys.ceremony import Ceremony
from backoffice.keys.ceremony_file import WrongPassphrase
from backoffice.keys.ceremony_plan import Plan
from backoffice.keys.ceremony_words import ORIGINS, ROLES, TEST_MARK
from tools import ceremony_dialogue, keys_args
from tools.ceremony_talk import NotUnderstood, Stopped, Talk, in_words

PASSPHRASE_VARIABLE = "YKT_CEREMONY_PASSPHRASE"
_JSON_HELP = "一个 JSON 对象 | one object for a program to read"


def configure(commands: Any) -> None:
    """Add `ceremony` to the sub-commands of `ykt keys`."""
    help_line = "密钥仪式 | a key ceremony: many people, no person knows a key"
    parser = commands.add_parser("ceremony", help=help_line, description=help_line)
    actions = parser.add_subparsers(dest="ceremony_action", metavar="ACTION", required=True)

    plan = _action(actions, "plan", _plan, "检查计划 | check a plan against the rules, and show it")
    _wants_plan(plan)

    run = _action(actions, "run", _run, "开始仪式 | hold a ceremony, one custodian at a time")
    _wants_plan(run)
    run.add_argument("--test", action="store_true", help="确认只产生测试密钥 | yes, test keys only: for --unattended")

    resume = _action(actions, "resume", _resume, "恢复中断的仪式 | go on where it was interrupted")
    resume.add_argument("--forget", metavar="PERSON",
                        help="此保管人忘记口令:其分量重新录入 | this custodian lost the passphrase: enter again")
    for action in (run, resume):
        _wants_state(action)
        keys_args.wants_keys(action)
        action.add_argument("--minutes", type=Path, metavar="FILE",
                            help="纪要 PDF，旁边另存 JSON | minutes, with JSON beside (default: beside --state)")
        action.add_argument("--sign-key", metavar="KEY",
                            help="签署纪要的密钥 | kept key that signs the minutes (default: one made for them)")
        action.add_argument("--echo", action="store_true",
                            help="显示录入的分量 | show what custodians type")
        action.add_argument("--print", dest="printer", default="", metavar="COMMAND",
                            help="打印新分量，每人一张 | print new parts by this command, instead of the screen")
        action.add_argument("--unattended", action="store_true",
                            help="无人值守，仅限测试 | without people, test keys only")
        action.add_argument("--seed", type=int, metavar="N",
                            help="无人值守时可重复的密钥 | the same test keys again, with --unattended")

    status = _action(actions, "status", _status, "进展到哪一步 | what is done and what comes next")
    _wants_state(status)

    paper = _action(actions, "minutes", _minutes, "重新生成或核对纪要 | make the minutes again, or check a PDF of them")
    which = paper.add_mutually_exclusive_group(required=True)
    which.add_argument("--state", type=Path, metavar="FILE", help="仪式状态文件 | file of the ceremony's state")
    which.add_argument("--check", type=Path, metavar="PDF", help="核对这份纪要 | is this PDF what was signed")
    paper.add_argument("--minutes", type=Path, metavar="FILE", help="写到哪里 | PDF to write (default: beside --state)")

    abort = _action(actions, "abort", _abort, "放弃仪式，不留任何密钥 | leave nothing: parts wiped, keys destroyed")
    _wants_state(abort)
    keys_args.wants_keys(abort)
    abort.add_argument("--yes", action="store_true", help="不再询问 | do not ask")


def _action(actions: Any, name: str, act: Any, help_line: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=_told(act))
    parser.add_argument("--json", action="store_true", help=_JSON_HELP)
    return parser


def _wants_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE",
                        help="计划，格式见 backoffice/docs/ceremony.md | the plan (JSON)")


def _wants_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, required=True, metavar="FILE",
                        help="仪式状态文件 | file of the ceremony's state")


def _plan(args: argparse.Namespace) -> int:
    plan = ceremony_plan.read(args.plan)
    if args.json:
        print(json.dumps({**json.loads(plan.text), "plan_sha256": plan.digest}, ensure_ascii=False))
        return 0
    if plan.test:
        print(TEST_MARK)
    print(f"{plan.title_zh} | {plan.title_en}\n{plan.place_zh} | {plan.place_en}, {plan.date}")
    for person in plan.persons:
        zh, en = ("、".join(ROLES[role][0] for role in person.roles),
                  ", ".join(ROLES[role][1] for role in person.roles))  # fmt: skip
        print(f"  {person.person_id:<12} {person.name}  {zh} | {en}")
    for key in plan.keys:
        parts = f"{key.method} {len(key.custodians)}" if key.custodians else "-"
        parts += f" ({key.threshold})" if key.threshold else ""
        origin = " | ".join(ORIGINS[key.origin])
        print(f"  {key.key_id:<24} {key.purpose} {key.algorithm} {key.level} {key.subject or '-'} "
              f"V{key.version} I{key.index}  {parts}  {origin}")  # fmt: skip
    print(f"计划无误 | the plan keeps the rules; SHA-256 {plan.digest}")
    return 0


def _run(args: argparse.Namespace) -> int:
    plan = ceremony_plan.read(args.plan)
    _check_unattended(args, plan)
    if args.unattended and not args.test:
        raise steps.CeremonyError("--unattended makes test keys: say so with --test")
    pdf, beside = _papers(args)
    for path in (args.state, pdf, beside):
        if path.exists():
            raise ceremony_file.StateError(f"{path} exists already: resume that ceremony, or name another file")
        if not path.absolute().parent.is_dir():
            raise ceremony_file.StateError(f"{path}: no such folder; name a file in a folder that exists")
    with _at_work(args):
        backends = _backends(args)
        talk = _talk(args)
        passphrase = talk.insist(lambda: _new_passphrase(args, talk, plan.test))
        ceremony = Ceremony.begin(args.state, plan, _keeper(backends), passphrase, _now_s, _draw(args))
        return _hold(args, ceremony, backends, talk)


def _resume(args: argparse.Namespace) -> int:
    with _at_work(args):
        backends = _backends(args)
        talk = _talk(args)
        ceremony = _opened(args, talk, _keeper(backends))
        _check_unattended(args, ceremony.plan)
        if args.forget:
            ceremony.forget(args.forget)
        return _hold(args, ceremony, backends, talk)


def _hold(args: argparse.Namespace, ceremony: Ceremony, backends: list[Backend], talk: Talk) -> int:
    signing_key = _signing_key(args, backends)
    if args.unattended:
        talk.say(TEST_MARK)
        ceremony_unattended.hold(ceremony, _draw(args))
    else:
        ceremony_dialogue.hold(ceremony, talk, args.printer)
    papers = _write_minutes(args, ceremony.record(), signing_key())
    _audit(args, "ceremony", [key.key_id for key in ceremony.plan.keys], papers["json_sha256"])
    summary = {**_summary(ceremony), "state": str(args.state), "minutes": papers}
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        _print_keys(ceremony.record())
        _print_papers(papers)
    return 0


def _status(args: argparse.Namespace) -> int:
    ceremony = _opened(args, _talk(args), None)
    record = ceremony.record()
    if args.json:
        print(json.dumps(_summary(ceremony), ensure_ascii=False))
        return 0
    if ceremony.test:
        print(TEST_MARK)
    print(f"{record['title']['zh']} | {record['title']['en']}")
    _print_keys(record)
    step = ceremony.step()
    if step.kind == steps.DONE:
        print("已结束 | closed")
    else:
        print(f"下一步 | next: {step.kind} {step.key_id} {step.who}".rstrip())
    return 0


def _minutes(args: argparse.Namespace) -> int:
    if args.check:
        return _check_minutes(args)
    record = _opened(args, _talk(args), None).record()
    papers = _write_minutes(args, record, _signing_key(args, [])())
    print(json.dumps(papers)) if args.json else _print_papers(papers)
    return 0


def _check_minutes(args: argparse.Namespace) -> int:
    from backoffice.keys import minutes

    found = minutes.check(args.check.read_bytes())
    beside = args.check.with_suffix(".json")
    same = beside.is_file() and hashlib.sha256(beside.read_bytes()).hexdigest() == found.json_sha256
    if beside.is_file() and not same:
        raise minutes.MinutesError(f"{beside} is not the JSON that this PDF names: it was changed")
    if args.json:
        print(json.dumps({**found._asdict(), "json_checked": same}))
        return 0
    print("签名完好 | not changed since it was signed")
    print(f"签名公钥，请与纸面核对 | signing key, compare with the paper\n  {found.key_sha256}")
    print(f"JSON{' 一致 | is the one' if same else ''}\n  {found.json_sha256}")
    return 0


def _abort(args: argparse.Namespace) -> int:
    with _at_work(args):
        talk = _talk(args)
        ceremony = _opened(args, talk, _keeper(_backends(args)))
        key_ids = [key.key_id for key in ceremony.plan.keys]
        sure = args.yes or talk.insist(lambda: talk.ask_yes("放弃仪式，销毁其密钥?", "abort it, destroy its keys?"))
        if not sure:
            talk.say("未放弃", "nothing was done")
            return 1
        destroyed = ceremony.abort()
        _audit(args, "ceremony_abort", key_ids)
    if args.json:
        print(json.dumps({"aborted": True, "destroyed": destroyed}))
    else:
        print(f"已放弃，销毁 {len(destroyed)} 个密钥 | aborted, {len(destroyed)} keys destroyed {' '.join(destroyed)}")
    return 0


@contextlib.contextmanager
def _at_work(args: argparse.Namespace) -> Iterator[None]:
    """One program a ceremony; whoever leaves early is told how to come back."""
    if not args.state.absolute().parent.is_dir():
        raise ceremony_file.StateError(f"{args.state}: no such folder; name a file in a folder that exists")
    try:
        with ceremony_file.locked(args.state):
            yield
    except (Stopped, KeyboardInterrupt):
        if args.state.exists():
            print(f"\n仪式已保存，恢复 | it is saved; go on with: ykt keys ceremony resume --state {args.state}",
                  file=sys.stderr)  # fmt: skip
        raise


def _told(act: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Refusals in both languages."""

    def told(args: argparse.Namespace) -> int:
        try:
            return act(args)
        except KeysError as refusal:
            print(f"ykt keys ceremony: {in_words(refusal)}", file=sys.stderr)
            return 1

    return told


def _check_unattended(args: argparse.Namespace, plan: Plan) -> None:
    if args.unattended:
        ceremony_unattended.check(plan)
    elif args.seed is not None:
        raise steps.CeremonyError("--seed is for --unattended: people draw at random")


def _backends(args: argparse.Namespace) -> list[Backend]:
    """The vault or the token, or the token and the vault for what it lacks."""
    if args.token is None:
        return [keys_args.open_vault(args)]
    token, second = keys_args.open_token(args)
    return [token] if second is None else [token, second]


def _keeper(backends: list[Backend]) -> steps.Keeper:
    return backends[0] if len(backends) == 1 else steps.Pair(*backends)


def _draw(args: argparse.Namespace) -> steps.Draw | None:
    return None if args.seed is None else ceremony_unattended.draw_of(args.seed)


def _talk(args: argparse.Namespace) -> Talk:
    """With --json the object stands alone on the standard output."""
    return Talk(sys.stdin, sys.stderr if args.json else sys.stdout, getattr(args, "echo", False))


def _given(args: argparse.Namespace) -> str:
    if getattr(args, "unattended", False):
        return ceremony_unattended.PASSPHRASE
    return os.environ.get(PASSPHRASE_VARIABLE, "")


def _new_passphrase(args: argparse.Namespace, talk: Talk, test: bool) -> str:
    typed = _given(args)
    if not typed:
        typed = talk.ask_hidden("主持人设定仪式口令", "ceremony master, choose a passphrase")
        if talk.ask_hidden("再输入一次", "once more") != typed:
            raise NotUnderstood("the two are not the same: choose one again")
    ceremony_file.check_passphrase(typed, test)
    return typed


def _opened(args: argparse.Namespace, talk: Talk, keeper: steps.Keeper | None) -> Ceremony:
    def opened() -> Ceremony:
        passphrase = _given(args) or talk.ask_hidden("仪式口令", "passphrase of the ceremony")
        return Ceremony.resume(args.state, passphrase, keeper, _now_s, _draw(args) if "seed" in args else None)

    return opened() if _given(args) else talk.insist(opened, WrongPassphrase)


def _papers(args: argparse.Namespace) -> tuple[Path, Path]:
    pdf = args.minutes or args.state.with_name(args.state.stem + "-minutes.pdf")
    return pdf, pdf.with_suffix(".json")


def _signing_key(args: argparse.Namespace, backends: list[Backend]) -> Callable[[], Any]:
    """Makes the minutes.SigningKey: --sign-key, or one made for these minutes. Raises CeremonyError at once."""
    named = str(getattr(args, "sign_key", None) or "")
    holder = next((each for each in backends for info in each.infos() if info.key_id == named), None)
    if named and holder is None:
        raise steps.CeremonyError(f"no key {named} to sign the minutes: `ykt keys list` shows what there is")
    if holder is not None:
        info = next(info for info in holder.infos() if info.key_id == named)
        if not hierarchy.may_make(info):
            raise steps.CeremonyError(f"key {named} makes nothing new: {hierarchy.why_not(info)}")

    def made() -> Any:
        from backoffice.keys.minutes import SigningKey

        return SigningKey.for_once() if holder is None else SigningKey.of_backend(holder, named)

    return made


def _audit(args: argparse.Namespace, operation: str, key_ids: list[str], digest: str = "") -> None:
    """One line in the audit of the token or the vault; the digest is that of the minutes."""
    beside = audit.beside(args.vault if args.token is None else args.token)
    audit.Audit(beside, "keys ceremony").write(operation, key_ids, len(key_ids), digest)


def _write_minutes(args: argparse.Namespace, record: dict[str, Any], key: Any) -> dict[str, str]:
    from backoffice.keys import minutes  # its libraries take longer to load than most commands of `ykt keys` take

    pdf, beside = _papers(args)
    if pdf.exists():
        raise minutes.MinutesError(f"{pdf} exists already, and may be signed by hand: name another with --minutes")
    content, pages = minutes.as_json(record), minutes.as_pdf(record, key)
    _write(beside, content)
    _write(pdf, pages)
    digest = hashlib.sha256(content).hexdigest()
    return {"pdf": str(pdf), "json": str(beside), "json_sha256": digest, "key_sha256": key.sha256}


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _summary(ceremony: Ceremony) -> dict[str, Any]:
    record = ceremony.record()
    names = ("key_id", "purpose", "algorithm", "level", "subject", "version", "index", "kcv", "kept")
    step = ceremony.step()
    return {
        "test": record["test"],
        "closed": ceremony.closed,
        "next": None if ceremony.closed else {"step": step.kind, "who": step.who, "key_id": step.key_id},
        "keys": [{name: key[name] for name in names} for key in record["keys"]],
    }


def _print_keys(record: dict[str, Any]) -> None:
    for key in record["keys"]:
        state = "已存入 | kept" if key["kept"] else f"{len(key['parts'])} 个分量 | parts"
        print(f"  {key['key_id']:<24} {key['algorithm']:<5} V{key['version']} I{key['index']}  "
              f"KCV {key['kcv'] or '------'}  {state}")  # fmt: skip


def _print_papers(papers: dict[str, str]) -> None:
    print(f"纪要 | minutes: {papers['pdf']}, {papers['json']}\n签名公钥 | signing key: {papers['key_sha256']}")


def _now_s() -> int:
    return int(time.time())
