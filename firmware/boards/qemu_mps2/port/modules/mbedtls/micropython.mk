# mbed TLS, whose sources lie in MBEDTLS_DIR; which of it is compiled says board_mbedtls.h.
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/library/, \
	aes.c asn1parse.c asn1write.c bignum.c bignum_core.c bignum_mod.c bignum_mod_raw.c block_cipher.c cipher.c \
	cipher_wrap.c constant_time.c ctr_drbg.c ecdh.c ecdsa.c ecp.c ecp_curves.c entropy.c gcm.c md.c oid.c pk.c \
	pk_ecc.c pk_wrap.c pkparse.c platform.c platform_util.c rsa.c rsa_alt_helpers.c sha1.c sha256.c \
	ssl_ciphersuites.c ssl_client.c ssl_msg.c ssl_tls.c ssl_tls12_client.c x509.c x509_crt.c)
CFLAGS_USERMOD += -isystem $(USERMOD_DIR)/include -DMBEDTLS_CONFIG_FILE='<board_mbedtls.h>'
