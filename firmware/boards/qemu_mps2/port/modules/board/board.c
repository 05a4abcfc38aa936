// What the emulated mps2-an385 has beside a processor: clock, chance, reset, how it starts.
// Time comes from the free-running 25 MHz counter of the FPGA's registers, widened to 64 bits here. The board has no
// clock chip and no source of chance; the emulating machine stands for both, asked by semihosting. Two words in memory
// are set by the emulator: how large the heap is, so that one build measures a small one and runs tests in a large one;
// and whether the board starts its frozen validator or waits at its prompt.
#include <string.h>

#include "py/gc.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/pyexec.h"

#define COUNTER      (*(volatile uint32_t *)0x40028018)
#define HEAP_BYTES   (*(volatile uint32_t *)0x21fffffc)
#define STARTS       (*(volatile uint32_t *)0x21fffff8)
#define AIRCR        (*(volatile uint32_t *)0xe000ed0c)
#define RESET_NOW    (0x05fa0004)
#define UART0_STATE  (*(volatile uint32_t *)0x40004004)
#define UART_RX_FULL (2)
#define CYCLES_A_US  (25)

#define SYS_OPEN     (0x01)
#define SYS_CLOSE    (0x02)
#define SYS_READ     (0x06)
#define SYS_TIME     (0x11)
#define OPEN_BINARY  (1)
#define RANDOM_AT    "/dev/urandom"

static uint64_t cycles_seen;
static uint32_t counter_seen;
static uint64_t epoch_ns;       // time of day when the counter stood at 0

// To be called at least once in 171 s, when the counter wraps.
static uint64_t cycles(void) {
    uint32_t counter = COUNTER;
    cycles_seen += (uint32_t)(counter - counter_seen);
    counter_seen = counter;
    return cycles_seen;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return (mp_uint_t)cycles();
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)(cycles() / CYCLES_A_US);
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(cycles() / (1000 * CYCLES_A_US));
}

uint64_t mp_hal_time_ns(void) {
    return epoch_ns + cycles() * (1000 / CYCLES_A_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t until = cycles() + (uint64_t)us * CYCLES_A_US;
    while (cycles() < until) {
        mp_handle_pending(true);
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    while (ms--) {
        mp_hal_delay_us(1000);
    }
}

// The port's own says that a byte always waits.
uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t wanted) {
    uintptr_t found = wanted & MP_STREAM_POLL_WR;
    if ((wanted & MP_STREAM_POLL_RD) && (UART0_STATE & UART_RX_FULL)) {
        found |= MP_STREAM_POLL_RD;
    }
    return found;
}

void __real_gc_init(void *start, void *end);

void __wrap_gc_init(void *start, void *end) {
    uint32_t wanted = HEAP_BYTES;
    if (wanted != 0 && wanted < (uint32_t)((char *)end - (char *)start)) {
        end = (char *)start + wanted;
    }
    __real_gc_init(start, end);
}

// After a reset, and after each ctrl-D at the prompt.
int __real_pyexec_friendly_repl(void);

int __wrap_pyexec_friendly_repl(void) {
    if (STARTS == 1) {
        pyexec_frozen_module("boot.py", false);
        for (;;) {      // it raised, and said so; the watchdog ends this
        }
    }
    return __real_pyexec_friendly_repl();
}

static uint32_t ask_host(uint32_t number, const void *arguments) {
    register uint32_t r0 __asm__ ("r0") = number;
    register const void *r1 __asm__ ("r1") = arguments;
    __asm__ volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
}

static bool read_random(void *buffer, size_t count) {
    const uint32_t open[] = { (uint32_t)RANDOM_AT, OPEN_BINARY, sizeof(RANDOM_AT) - 1 };
    uint32_t file = ask_host(SYS_OPEN, open);
    if (file == UINT32_MAX) {
        return false;
    }
    const uint32_t read[] = { file, (uint32_t)buffer, count };
    uint32_t left = ask_host(SYS_READ, read);
    ask_host(SYS_CLOSE, &file);
    return left == 0;
}

// For mbed TLS.
int mbedtls_hardware_poll(void *data, unsigned char *buffer, size_t size, size_t *count) {
    (void)data;
    *count = 0;
    if (!read_random(buffer, size)) {
        return -1;
    }
    *count = size;
    return 0;
}

static mp_obj_t board_random(mp_obj_t count_in) {
    vstr_t bytes;
    vstr_init_len(&bytes, mp_obj_get_int(count_in));
    if (!read_random(bytes.buf, bytes.len)) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&bytes);
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_random_obj, board_random);

static mp_obj_t board_rtc(void) {
    return mp_obj_new_int_from_uint(ask_host(SYS_TIME, NULL));
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_rtc_obj, board_rtc);

static mp_obj_t board_set_time(mp_obj_t seconds_in) {
    epoch_ns = (uint64_t)(mp_uint_t)mp_obj_get_int_truncated(seconds_in) * 1000000000ULL
        - cycles() * (1000 / CYCLES_A_US);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_set_time_obj, board_set_time);

static mp_obj_t board_reset(void) {
    AIRCR = RESET_NOW;
    for (;;) {
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_reset_obj, board_reset);

static const mp_rom_map_elem_t board_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_board) },
    { MP_ROM_QSTR(MP_QSTR_random), MP_ROM_PTR(&board_random_obj) },        // bytes, as many as asked for
    { MP_ROM_QSTR(MP_QSTR_rtc), MP_ROM_PTR(&board_rtc_obj) },              // seconds since 1970
    { MP_ROM_QSTR(MP_QSTR_set_time), MP_ROM_PTR(&board_set_time_obj) },    // what time.time() shall be now
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&board_reset_obj) },
};
static MP_DEFINE_CONST_DICT(board_globals, board_table);

const mp_obj_module_t board_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&board_globals,
};
MP_REGISTER_MODULE(MP_QSTR_board, board_module);
