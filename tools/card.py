"""`ykt card`: a simulated card, PSAM or blank behind a real PC/SC reader or a serial one, for any client.

What is read from a reader: card_reading. Blanks: card_making.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator.blank import BlankCard, BlankPsam
from simulator.blank_image import PERSONALISED, BlankImage, load_image
from simulator.ccid_reader import CcidReader
from simulator.dual_card import card_of
from simulator.field import Card, Faults, parse_tear
from simulator.image import CardImage, ImageError, PsamImage
from simulator.personalise import LEGACY_ISSUER, LEGACY_MASTERS, TEST_MASTERS, card_image, legacy_image
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.stx_etx_reader import PROFILES, StxEtxReader, load_profile
from simulator.trace import Traced, masked_number
from simulator.vpcd import PORT, ReaderGone, VpcdSlot
from tools import card_making, card_reading
from tunion.bcd import from_digits
from tunion.card.product import NATIONAL, serial_of

BACK_AFTER_S = 2        # a torn card comes back: long enough for every reader to see that it was gone
RETRY_S = 1             # between looks for a reader that went away; until Ctrl-C, a person is watching
NUMBER_DIGITS = 19
LEGACY_DIGITS = 16

SerialReader = Pn532Chip | StxEtxReader | CcidReader
NAMES = {"pn532": "PN532", "stx-etx": "STX/ETX reader", "ccid": "CCID reader"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ykt card`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    text = "把模拟卡放进读卡器，直到 Ctrl-C | put a simulated card into a reader, until Ctrl-C"
    serve = actions.add_parser("serve", help=text, description=text)
    serve.set_defaults(do=_serve)
    serve.add_argument("--reader", required=True, choices=("vpcd", "pn532", "stx-etx", "ccid"),
                       help="虚拟 PC/SC 读卡器，或串口读卡器 | the virtual PC/SC reader, or a serial reader on a pty")
    serve.add_argument("--image", required=True, type=Path, metavar="FILE",
                       help="卡或空白卡映像，如 simulator/images/card.json | image of a card or a blank; format: "
                            "simulator/docs/image.md")
    serve.add_argument("--psam", type=Path, metavar="FILE",
                       help="PSAM 或空白 PSAM 映像，放入第二卡槽 | image of a PSAM or a blank for the slot beside: "
                            "PORT+1 (vpcd), 1 (serial)")
    serve.add_argument("--port", type=_port, default=PORT, metavar="PORT",
                       help=f"虚拟读卡器端口，默认 {PORT} | TCP port of the virtual reader (vpcd)")
    serve.add_argument("--link", type=Path, metavar="PATH",
                       help="串口的符号链接 | keep a symlink to the serial line at PATH (all but vpcd)")
    serve.add_argument("--profile", default="sample_binary_xor", metavar="NAME",
                       help="帧格式，见 validator/profiles/readers | frames and commands of the reader (stx-etx)")
    serve.add_argument("--random", type=_random, metavar="HEX,…",
                       help="依次使用的卡随机数 | the card's random numbers, in order, to replay vectors")
    serve.add_argument("--tear", type=_tear, action="append", default=[], metavar="WHAT:WHEN",
                       help="在某次交换前后拿走卡 | take the card away: debit:after, update/2:before, 3:before; "
                            f"it returns after {BACK_AFTER_S} s. Repeatable")
    serve.add_argument("--latency-ms", type=_natural, default=0, metavar="N",
                       help="每条指令的延迟 | added to each command")
    serve.add_argument("--save", action="store_true",
                       help="把变化写回映像文件 | write every change back to the image files")
    serve.add_argument("--trace", action="store_true",
                       help="打印报文，卡号遮盖 | print each exchange, card numbers masked")

    text = "用测试密钥制作一张新卡的映像 | make the image of a new card, with the public test keys"
    new = actions.add_parser("new", help=text, description=text)
    new.set_defaults(do=_new)
    new.add_argument("--image", required=True, type=Path, metavar="FILE", help="新文件 | a new file")
    new.add_argument("--number", required=True, type=_digits(NUMBER_DIGITS), help="19 位卡号 | card number, 19 digits")
    new.add_argument("--issuer", type=_issuer, default="04026110FFFFFFFF", metavar="HEX",
                     help="8 字节发卡机构标识 | 8-byte issuer identifier")
    new.add_argument("--city", type=_digits(4), default="6110", help="城市代码 | city code")
    new.add_argument("--province", type=_digits(4), default="6100", help="省代码 | province code")
    new.add_argument("--kind", type=int, choices=range(1, 6), default=1,
                     help="1 普通 2 学生 3 老人 4 测试 5 军人 | ordinary, student, senior, test, military")
    new.add_argument("--start", type=_digits(8), default="20250101", help="启用日期 | first day, YYYYMMDD")
    new.add_argument("--expiry", type=_digits(8), default="20351231", help="有效期 | last day, YYYYMMDD")
    new.add_argument("--balance-fen", type=int, default=5000, help="余额，分 | balance in fen")
    new.add_argument("--legacy-number", type=_digits(LEGACY_DIGITS), metavar="DIGITS",
                     help="另加虚构的地方应用，16 位卡号 | add the invented regional application, with this number")
    new.add_argument("--limit-fen", type=_natural, default=0, help="透支限额，分 | overdraft limit in fen")

    card_making.configure(actions)
    card_reading.configure(actions)


def run(args: argparse.Namespace) -> int:
    """0 done or ended by Ctrl-C or SIGTERM, 1 where image or reader cannot be used."""
    try:
        return int(args.do(args))
    except (ImageError, ReaderGone, ValueError) as error:
        print(f"ykt card {args.action}: {error}", file=sys.stderr)
        return 1


def _new(args: argparse.Namespace) -> int:
    if args.image.exists():
        raise ValueError(f"{args.image} exists: remove it first, or name another file")
    image = card_image(
        TEST_MASTERS, bytes.fromhex(args.issuer), from_digits("0" + args.number), city=from_digits(args.city),
        province=from_digits(args.province), kind=args.kind, start=from_digits(args.start),
        expiry=from_digits(args.expiry), balance_fen=args.balance_fen, limit_fen=args.limit_fen,
    )  # fmt: skip
    if args.legacy_number:
        image.second = legacy_image(
            LEGACY_MASTERS, LEGACY_ISSUER, from_digits(args.legacy_number), city=from_digits(args.city),
            start=from_digits(args.start), expiry=from_digits(args.expiry), balance_fen=args.balance_fen,
        )  # fmt: skip
    try:
        image.save(args.image)
    except OSError as error:
        raise ValueError(f"{args.image}: {error.strerror}; name a file in a folder that exists") from error
    print(f"{args.image}: {masked_number(image.serial)}")
    return 0


def _serve(args: argparse.Namespace) -> int:
    if args.psam and args.reader == "pn532":
        raise ValueError("a PN532 has no slot for a PSAM: leave --psam out, or use --reader vpcd")
    card, number = _card(args)
    psam = _psam(args) if args.psam else None
    bell, ended = threading.Event(), threading.Event()
    with _ended_by_signals(bell, ended):
        faults = Faults(args.tear, args.latency_ms)
        if args.reader != "vpcd":
            with contextlib.closing(_serial_reader(args, psam, bell.set)) as reader:
                return _serve_serial(NAMES[args.reader], reader, card, faults, number, bell, ended)
        return _serve_vpcd(args.port, card, psam, faults, number, bell, ended)


def _card(args: argparse.Namespace) -> tuple[Card, str]:
    """The card, or the blank that becomes one, and what to call it."""
    image = load_image(args.image)
    save = _saver(args, args.image)
    if isinstance(image, CardImage):
        more = [image.second.serial] if image.second else []
        card: Card = card_of(image, args.random, save)
        return (Traced(card, "card", _say, image.serial, *more) if args.trace else card), masked_number(image.serial)
    if isinstance(image, PsamImage) or image.psam:
        raise ValueError(f"{args.image} is a PSAM: name it by --psam, and a card by --image")
    if not args.save:
        _say("没有 --save，写入的内容将丢失 | without --save, what is written to this blank is lost")
    blank = BlankCard(image, args.random, save)
    name = f"blank {image.serial.hex().upper()}"
    return (Traced(blank, "card", _say, lambda: _serial_in(blank)) if args.trace else blank), name


def _serial_in(blank: BlankCard) -> bytes | None:
    """The card number that is written already."""
    serial = serial_of(NATIONAL, blank.image.card.files) if blank.image.card else b""
    return serial if any(serial) else None


def _psam(args: argparse.Namespace) -> Card:
    image = load_image(args.psam)
    if isinstance(image, CardImage) or not isinstance(image, PsamImage) and image.card:
        raise ValueError(f"{args.psam} is a card: name it by --image, and a PSAM by --psam")
    save = _saver(args, args.psam)
    psam: Card = SimPsam(image, save) if isinstance(image, PsamImage) else BlankPsam(image, persist=save)
    return Traced(psam, "psam", _say) if args.trace else psam


@contextlib.contextmanager
def _ended_by_signals(bell: threading.Event, ended: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set both events, from a thread that waits for them.

    A handler runs in the main thread, maybe within bell.wait(), and would wait for ever for the lock that this holds.
    Threads that are started inside leave both signals alone.
    """
    wanted = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)

    def wait() -> None:
        signal.sigwait(wanted)
        ended.set()
        bell.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    try:
        yield
    finally:
        if not ended.is_set() and waiter.ident is not None:
            signal.pthread_kill(waiter.ident, signal.SIGTERM)
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve_vpcd(
    port: int, card: Card, psam: Card | None, faults: Faults, number: str, bell: threading.Event, ended: threading.Event
) -> int:
    slot, sam_slot = VpcdSlot(port, bell.set), VpcdSlot(port + 1, bell.set)
    try:
        slot.insert(card, faults)
        if psam:
            sam_slot.insert(psam)
        _say(f"{number} in the virtual reader, port {port}{' and a PSAM beside it' if psam else ''}; Ctrl-C ends")
        while _rings(bell, ended):
            if slot.error:
                raise ValueError(str(slot.error))
            if slot.left.is_set():
                _say("the card was torn away" if slot.torn else "the reader went away")
                _back(slot.insert, (card, faults), BACK_AFTER_S if slot.torn else RETRY_S, ended)
            if psam and sam_slot.left.is_set():
                _back(sam_slot.insert, (psam,), RETRY_S, ended)
        return 0
    finally:
        slot.remove()
        sam_slot.remove()


def _serial_reader(args: argparse.Namespace, psam: Card | None, on_left: Callable[[], None]) -> SerialReader:
    """The reader that was asked for, at the end of a line. Raises ValueError where link or profile cannot be used."""
    try:
        profile = load_profile(args.profile)
    except OSError as error:
        known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.json")))
        raise ValueError(f"no profile {args.profile}: name one of {known}") from error
    try:
        if args.reader == "pn532":
            return Pn532Chip(args.link, on_left=on_left)
        if args.reader == "ccid":
            return CcidReader(args.link, [psam], on_left=on_left)
        return StxEtxReader(profile, args.link, [psam], on_left=on_left)
    except OSError as error:
        raise ValueError(
            f"cannot put a serial line at {args.link} ({error.strerror}): name a path that is free"
        ) from error


def _serve_serial(
    name: str, reader: SerialReader, card: Card, faults: Faults, number: str, bell: threading.Event,
    ended: threading.Event,
) -> int:  # fmt: skip
    reader.insert(card, faults)
    _say(f"{number} on the {name} at {reader.path}; Ctrl-C ends")
    while _rings(bell, ended):
        if reader.error:
            raise ValueError(str(reader.error))
        if reader.torn:
            _say("the card was torn away")
            _back(reader.insert, (card, faults), BACK_AFTER_S, ended)
    return 0


def _rings(bell: threading.Event, ended: threading.Event) -> bool:
    """Wait until something happens; False when that is the end."""
    bell.wait()
    bell.clear()
    return not ended.is_set()


def _back(insert: Callable[..., None], what: tuple[object, ...], after_s: float, ended: threading.Event) -> None:
    """Put a card back after a while, again and again while there is no reader."""
    while not ended.wait(after_s):
        try:
            insert(*what)
        except ReaderGone:
            after_s = RETRY_S
            continue
        _say("back in the reader")
        return


def _saver(args: argparse.Namespace, path: Path) -> "Callable[[CardImage | PsamImage | BlankImage], None] | None":
    """What stores an image with --save. A disk that fails is told here, and the card answers 6581 there.

    A blank that has become a card is saved as that card; a PSAM keeps its control key, so it stays what it is.
    """
    if not args.save:
        return None

    def save(image: CardImage | PsamImage | BlankImage) -> None:
        if isinstance(image, BlankImage) and image.card and image.stage == PERSONALISED:
            image = image.card
        try:
            image.save(path)
        except OSError as error:
            print(f"ykt card serve: {path} not saved: {error.strerror}; the card refuses", file=sys.stderr)
            raise

    if not os.access(path, os.W_OK):
        raise ValueError(f"{path} cannot be written: leave --save out, or copy the image first")
    return save


def _say(line: str) -> None:
    """In one piece: card and PSAM trace from their own threads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- argument types: argparse turns their ValueError into wrong usage, exit code 2


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65534:      # the PSAM takes the next one
        raise argparse.ArgumentTypeError("a TCP port from 1 to 65534")
    return port


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("a whole number, 0 or more")
    return int(text)


def _digits(count: int) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if len(text) != count or not (text.isascii() and text.isdecimal()):
            raise argparse.ArgumentTypeError(f"{count} digits")
        return text

    return checked


def _issuer(text: str) -> str:
    if len(bytes.fromhex(text)) != 8:
        raise argparse.ArgumentTypeError("8 bytes in hex")
    return text


def _random(text: str) -> "Callable[[int], bytes]":
    try:
        return replay([bytes.fromhex(one) for one in text.split(",")])
    except ValueError:
        raise argparse.ArgumentTypeError("hex numbers with commas between: A1B2C3D4,0BADF00D") from None


def _tear(text: str) -> str:
    try:
        parse_tear(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
