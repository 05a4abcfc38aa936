"""What a PKCS#11 token does of the operations of a backend, for people: `ykt keys token status`."""

from typing import NamedTuple

from pkcs11.mechanisms import Mechanism

INSIDE, LENDS, REFUSED = "inside", "lends", "refused"


class Capability(NamedTuple):
    """What the token does of an operation: INSIDE; LENDS a card's own key to the second provider; REFUSED."""

    operation: str
    algorithm: str
    where: str
    zh: str
    en: str


def capabilities(has: frozenset[Mechanism], strict: bool) -> list[Capability]:
    """Every operation of a Backend, and what has no place in a token."""
    des = {Mechanism.DES3_ECB_ENCRYPT_DATA, Mechanism.DES3_ECB, Mechanism.DES3_CBC} <= has
    aes = {Mechanism.AES_ECB_ENCRYPT_DATA, Mechanism.AES_ECB} <= has
    lends = REFUSED if strict or not des else LENDS

    def inside(so: bool) -> str:
        return INSIDE if so else REFUSED

    rows = [
        ("derive", "3DES", inside(des), "逐级分散,密钥不出令牌", "every step down; no key leaves"),
        ("derive", "AES", inside(aes), "逐级分散,密钥不出令牌", "every step down; no key leaves"),
        ("session_mac", "3DES", inside(des), "MAC1、MAC2", "MAC1 and MAC2"),
        ("tacs", "3DES", lends, "须异或密钥两半:借出该卡的TAC密钥", "its halves are xored: the card's own key is lent"),
        ("auth", "3DES", inside(des), "芯片外部认证", "to a chip"),
        ("auth", "AES", inside(aes), "芯片外部认证", "to a chip"),
        ("command_mac", "3DES", inside(des), "安全报文", "secured commands"),
        ("command_mac", "AES", inside(aes and Mechanism.AES_CMAC in has), "安全报文", "secured commands"),
        ("wrap", "AES", inside(aes and Mechanism.AES_KEY_WRAP in has), "写入芯片的密钥", "keys for chips"),
        ("wrap", "3DES", lends, "借出该卡的密钥;PSAM主密钥拒绝", "a card's own key is lent, none above it"),
        ("release", "3DES", lends, "仅单张卡的密钥", "of a single card only"),
        ("hmac", "HMAC", inside(Mechanism.SHA256_HMAC in has), "终端密钥", "device keys"),
        ("sign", "ES256", inside(Mechanism.ECDSA in has), "参数签名", "parameter sets"),
        ("all", "SM4", REFUSED, "由第二提供者承担", "the second provider's"),
    ]
    return [Capability(*row) for row in rows]
