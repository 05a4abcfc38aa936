// The stock configuration of MicroPython's qemu port, with what a validator needs beside it.
#include "mpconfigport.h"

#undef  MICROPY_PY_SELECT
#undef  MICROPY_PY_TIME
#undef  MICROPY_PY_SYS_STDIO_BUFFER
#define MICROPY_PY_SELECT                       (1)
#define MICROPY_PY_SYS_STDIO_BUFFER             (1)     // bytes of the console, not characters
#define MICROPY_PY_TIME                         (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS            (1)
#define MICROPY_PY_TIME_INCLUDEFILE             "board_time.h"
#define MICROPY_EPOCH_IS_1970                   (1)

#define MICROPY_PY_MACHINE_UART                 (1)
#define MICROPY_PY_MACHINE_UART_INCLUDEFILE     "board_uart.h"
#define MICROPY_PY_MACHINE_UART_CLASS_CONSTANTS
#define MICROPY_PY_MACHINE_WDT                  (1)
#define MICROPY_PY_MACHINE_WDT_INCLUDEFILE      "board_wdt.h"

// TLS and AES come from mbed TLS: board_mbedtls.h
#define MICROPY_MBEDTLS_CONFIG_BARE_METAL       (1)
#define MICROPY_PY_CRYPTOLIB                    (1)
#define MICROPY_TRACKED_ALLOC                   (1)
