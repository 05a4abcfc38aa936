"""What is said to a sender that has not proven who it is: a code, 中文, English; plain CBOR, unsigned.

An unknown device and a wrong MAC are told apart in our log only: whoever guesses device numbers learns nothing.
"""

from tunion import cbor

_NOT_AUTHENTICATED = ("not-authenticated", "设备未认证", "the device could not be authenticated")

# our name -> (HTTP status, (code outside, 中文, English))
UNSIGNED: dict[str, tuple[int, tuple[str, str, str]]] = {
    "bad-cbor": (400, ("bad-cbor", "报文格式错误", "the body is not an envelope of this protocol")),
    "cut-short": (400, ("cut-short", "报文不完整", "the body ended early or came too slowly: send it again")),
    "too-large": (413, ("too-large", "报文过大", "the body is too long: send fewer records")),
    "unknown-device": (401, _NOT_AUTHENTICATED),
    "bad-mac": (401, _NOT_AUTHENTICATED),
    "unknown-blob": (404, ("unknown-blob", "没有该文件", "nothing is published under this name")),
    "bad-question": (400, ("bad-question", "请求参数错误", "off and len name bytes of the blob, len at most 2048")),
    "busy": (503, ("busy", "系统繁忙,请稍后重试", "busy now, nothing was stored: send the same again later")),
}


def unsigned(name: str) -> tuple[int, bytes]:
    """(HTTP status, body)."""
    status, words = UNSIGNED[name]
    return status, cbor.encode(list(words))
