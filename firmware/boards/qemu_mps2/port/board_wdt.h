// machine.WDT on the CMSDK watchdog. It counts twice: its first end is an interrupt (NMI), its second one resets; the
// emulator must run with -action watchdog=reset. Once started it cannot be stopped.
#include "py/mphal.h"

#define WDT_LOAD        (*(volatile uint32_t *)0x40008000)
#define WDT_CONTROL     (*(volatile uint32_t *)0x40008008)
#define WDT_CLEAR       (*(volatile uint32_t *)0x4000800c)
#define WDT_LOCK        (*(volatile uint32_t *)0x40008c00)
#define WDT_KEY         (0x1acce551)
#define WDT_RUN         (3)                 // interrupt and reset
#define WDT_HALF_MS     (25000 / 2)         // cycles: each of the two counts takes half of the time-out
#define WDT_MS_MAX      (300000)            // the counter has 32 bits

typedef struct _machine_wdt_obj_t {
    mp_obj_base_t base;
} machine_wdt_obj_t;

static machine_wdt_obj_t the_watchdog = { { &machine_wdt_type } };

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("WDT takes id 0"));
    }
    if (timeout_ms < 1 || timeout_ms > WDT_MS_MAX) {
        mp_raise_ValueError(MP_ERROR_TEXT("WDT takes timeout from 1 to 300000"));
    }
    WDT_LOCK = WDT_KEY;
    WDT_LOAD = (uint32_t)timeout_ms * WDT_HALF_MS;
    WDT_CONTROL = WDT_RUN;
    return &the_watchdog;
}

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    (void)self;
    WDT_CLEAR = 1;      // starts the first count anew
}
