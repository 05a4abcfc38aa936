"""Ciphers, MACs and key derivation against a second implementation: PyCryptodome for DES, OpenSSL for SM4.

The MACs are written here once more on the second library's own block encryption, from the standard's words.
"""

from Crypto.Cipher import DES, DES3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import assume, given
from hypothesis import strategies as st

from tunion.crypto import keys, mac
from tunion.crypto.des import Des, TripleDes
from tunion.crypto.sm4 import Sm4

block8 = st.binary(min_size=8, max_size=8)
block16 = st.binary(min_size=16, max_size=16)
blocks = st.binary(min_size=160, max_size=160)  # twenty of DES or ten of SM4 for each key: thousands in all
message = st.binary(max_size=200)


def des_ecb(key, data, backward=False):
    cipher = DES.new(key, DES.MODE_ECB)
    return cipher.decrypt(data) if backward else cipher.encrypt(data)


def sm4_ecb(key, data):
    return Cipher(algorithms.SM4(key), modes.ECB()).encryptor().update(data)


def padded(data, size):
    data += b"\x80"
    while len(data) % size:
        data += b"\x00"
    return data


def ecb(encrypt, data, size):
    return b"".join(encrypt(data[at : at + size]) for at in range(0, len(data), size))


def complement(data):
    return bytes(255 - byte for byte in data)


@given(key=block8, data=blocks)
def test_des_agrees_both_ways(key, data):
    assert ecb(Des(key).encrypt, data, 8) == des_ecb(key, data)
    assert ecb(Des(key).decrypt, data, 8) == des_ecb(key, data, backward=True)


@given(key=block16, data=blocks)
def test_triple_des_agrees_both_ways(key, data):
    assume(key[:8] != key[8:])
    try:
        second = DES3.new(key, DES3.MODE_ECB)
    except ValueError:  # PyCryptodome refuses halves that differ in parity bits only
        assume(False)
    assert ecb(TripleDes(key).encrypt, data, 8) == second.encrypt(data)
    assert ecb(TripleDes(key).decrypt, data, 8) == second.decrypt(data)


@given(key=block16, data=blocks)
def test_sm4_agrees(key, data):
    assert ecb(Sm4(key).encrypt, data, 16) == sm4_ecb(key, data)


@given(key=block8, data=message)
def test_des_cbc_mac_agrees(key, data):
    second = DES.new(key, DES.MODE_CBC, iv=bytes(8)).encrypt(padded(data, 8))[-8:]
    assert mac.cbc_mac(Des(key), data) == second[:4]


@given(key=block16, data=message)
def test_sm4_cbc_mac_agrees(key, data):
    encryptor = Cipher(algorithms.SM4(key), modes.CBC(bytes(16))).encryptor()
    second = encryptor.update(padded(data, 16))[-16:]
    assert mac.cbc_mac(Sm4(key), data) == second[:4]


@given(key=block16, challenge=st.binary(min_size=4, max_size=8), data=message)
def test_retail_mac_agrees(key, challenge, data):
    start = challenge[:4] + bytes(4)
    value = DES.new(key[:8], DES.MODE_CBC, iv=start).encrypt(padded(data, 8))[-8:]
    assert mac.maintenance_mac(key[:8], challenge, data) == value[:4]
    value = des_ecb(key[:8], des_ecb(key[8:], value, backward=True))
    assert mac.maintenance_mac(key, challenge, data) == value[:4]


@given(
    master=block16,
    issuer=block8,
    serial=st.binary(min_size=10, max_size=10),
    random=st.binary(min_size=4, max_size=4),
    counter=st.integers(0, 0xFFFF),
    terminal_seq=st.integers(0, 0xFFFFFFFF),
    data=message,
)
def test_a_whole_purchase_key_chain_agrees(master, issuer, serial, random, counter, terminal_seq, data):
    def ede(key, block):
        return des_ecb(key[:8], des_ecb(key[8:], des_ecb(key[:8], block), backward=True))

    block = random + counter.to_bytes(2, "big") + terminal_seq.to_bytes(4, "big")[2:]
    key, inferred = master, master
    for factor in (issuer, serial[2:]):
        key = ede(key, factor) + ede(key, complement(factor))
        inferred = sm4_ecb(inferred, factor + complement(factor))
    session = ede(key, block)

    triple, sm4 = keys.suite(0x00), keys.suite(0x04)
    assert keys.card_key(triple, master, issuer, serial) == key
    assert keys.purchase_session(triple, key, random, counter, terminal_seq) == session
    assert triple.mac(session, data) == DES.new(session, DES.MODE_CBC, iv=bytes(8)).encrypt(padded(data, 8))[-8:-4]
    assert keys.card_key(sm4, master, issuer, serial) == inferred
    assert keys.purchase_session(sm4, inferred, random, counter, terminal_seq) == sm4_ecb(
        inferred, block + complement(block)
    )
