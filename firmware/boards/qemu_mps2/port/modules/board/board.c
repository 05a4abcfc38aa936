// The clock of the emulated mps2-an385, and whether a byte waits at its first serial line.
// Time comes from the free-running 25 MHz counter of the FPGA's registers, widened to 64 bits here. The heap is as large
// as a word in memory says that the emulator sets, so that one build measures a small one and runs tests in a large one.
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"

#define COUNTER      (*(volatile uint32_t *)0x40028018)
#define HEAP_BYTES   (*(volatile uint32_t *)0x21fffffc)
#define UART0_STATE  (*(volatile uint32_t *)0x40004004)
#define UART_RX_FULL (2)
#define CYCLES_A_US  (25)

static uint64_t cycles_seen;
static uint32_t counter_seen;

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
    return cycles() * (1000 / CYCLES_A_US);
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
