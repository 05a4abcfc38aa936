// What mbed TLS brings on this board: TLS 1.2 as a client with ECDHE and ECDSA on P-256 and AES-GCM, and AES for
// soft SAMs. No check of names, dates or chains: the validator pins the server's key instead (drivers/tls_line).
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_ENCRYPT_THEN_MAC
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_SSL_IN_CONTENT_LEN  (6144)  // our answers have 5120 bytes at most, in one record if the server likes;
                                            // in one piece, which a heap in use for long has not always
#define MBEDTLS_SSL_OUT_CONTENT_LEN (2048)

#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_CIPHER_MODE_CBC
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ENTROPY_C
#define MBEDTLS_GCM_C
#define MBEDTLS_MD_C
#define MBEDTLS_OID_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_SHA1_C              // hashlib
#define MBEDTLS_SHA224_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA256_SMALLER
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_USE_C

// Memory is the interpreter's heap; chance comes from board.c.
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_ENTROPY_HARDWARE_ALT
#define MBEDTLS_NO_PLATFORM_ENTROPY
#include <stdio.h>
#include <stdlib.h>
void *m_tracked_calloc(size_t count, size_t size);
void m_tracked_free(void *pointer);
#define MBEDTLS_PLATFORM_STD_CALLOC     m_tracked_calloc
#define MBEDTLS_PLATFORM_STD_FREE       m_tracked_free
#define MBEDTLS_PLATFORM_SNPRINTF_MACRO snprintf
