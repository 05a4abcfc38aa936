"""GB2312 of the characters that panels show. Written by `python -m tools.gb2312`, never by hand."""

# In the order of their code points; the code of number i is CODES[2 * i : 2 * i + 2].
CHARACTERS = (
    "、一上下不丢两个中为之乘互交人他付令价优会位余保修候值停储元充先"
    "入全其再准出切到刷前功务勿单卡卫受只台号司同名后向启命器围在处备"
    "复多失好字存安定客将工已常开异式张录心恢惠成或扣报拒拿换接收故效"
    "数断新方无早时易星是暂最有服期未末本机条查校检模次欢款正此殊每没"
    "测满点特现理用电登看知票程稍站系线终络绝统继续网联能自范行表计记"
    "设证试误请读败超足路车输过迎这进连退通重金钟锁门间闸障非额首验（"
    "），："
)
CODES = bytes.fromhex(
    "a1a2d2bbc9cfcfc2b2bbb6aac1bdb8f6d6d0ceaad6aeb3cbbba5bdbbc8cbcbfbb8b6c1eebcdbd3c5bbe1cebbd3e0b1a3"
    "d0debaf2d6b5cda3b4a2d4aab3e4cfc8c8ebc8abc6e4d4d9d7bcb3f6c7d0b5bdcba2c7b0b9a6cef1cef0b5a5bfa8cec0"
    "cadcd6bbcca8bac5cbbecdacc3fbbaf3cff2c6f4c3fcc6f7cea7d4dab4a6b1b8b8b4b6e0caa7bac3d7d6b4e6b0b2b6a8"
    "bfcdbdabb9a4d2d1b3a3bfaad2eccabdd5c5c2bcd0c4bbd6bbddb3c9bbf2bfdbb1a8bedcc4c3bbbbbdd3cad5b9cad0a7"
    "cafdb6cfd0c2b7bdceded4e7cab1d2d7d0c7cac7d4ddd7eed3d0b7fec6daceb4c4a9b1bebbfaccf5b2e9d0a3bcecc4a3"
    "b4cebbb6bfeed5fdb4cbcae2c3bfc3bbb2e2c2fab5e3ccd8cfd6c0edd3c3b5e7b5c7bfb4d6aac6b1b3ccc9d4d5becfb5"
    "cfdfd6d5c2e7bef8cdb3bcccd0f8cdf8c1aac4dcd7d4b7b6d0d0b1edbcc6bcc7c9e8d6a4cad4cef3c7ebb6c1b0dcb3ac"
    "d7e3c2b7b3b5cae4b9fdd3add5e2bdf8c1accdcbcda8d6d8bdf0d6d3cbf8c3c5bce4d5a2d5cfb7c7b6eecad7d1e9a3a8"
    "a3a9a3aca3ba"
)


def code(letter: str) -> bytes:
    """One byte for ASCII, two for a character of the table, a question mark for any other."""
    if " " <= letter <= "~":
        return letter.encode()
    at = CHARACTERS.find(letter)
    return CODES[2 * at : 2 * at + 2] if at >= 0 else b"?"
