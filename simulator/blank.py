"""Blank cards and blank PSAMs as a vendor delivers them. What they answer: blank_chip; their image: blank_image."""

from pathlib import Path

from simulator.blank_card import BlankCard
from simulator.blank_chip import Persist
from simulator.blank_image import CARD, MAKER, MASK, BlankImage, Profile, blank_images
from simulator.blank_psam import BlankPsam
from simulator.randomness import Random

# Invented, and public: the transport keys of test deliveries.
TEST_TRANSPORT = bytes.fromhex("7E57000000000000000000007EA4590F")

__all__ = ["TEST_TRANSPORT", "BlankCard", "BlankImage", "BlankPsam", "Profile", "blank_images", "blanks", "chip_of"]


def chip_of(image: BlankImage, random: Random | None = None, persist: Persist | None = None) -> BlankCard | BlankPsam:
    """The chip that an image describes."""
    return (BlankCard if image.profile.medium == CARD else BlankPsam)(image, random, persist)


def blanks(
    count: int,
    profile: str | Path | Profile,
    transport: bytes = TEST_TRANSPORT,
    first_serial: int = 1,
    maker: bytes = MAKER,
    mask: bytes = MASK,
) -> list[BlankCard | BlankPsam]:
    """A delivery: chips with serial numbers one after another from `first_serial`, each with its transport key.

    profile    name of a profile in backoffice/cards/profiles, or the path of another
    transport  the batch's transport key, 16 bytes; each chip's is that one diversified by its serial
    """
    return [chip_of(image) for image in blank_images(count, profile, transport, first_serial, maker, mask)]
