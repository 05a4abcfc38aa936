// machine.UART 1 to 4 on the CMSDK UARTs, polled. 8N1 only: this chip has no parity. It holds one received byte, and
// the emulator keeps the others back until that one is read, so nothing is lost here that a real line would lose.
#include "py/mperrno.h"
#include "py/mphal.h"

typedef struct _uart_registers_t {
    volatile uint32_t data, state, control, interrupt, divider;
} uart_registers_t;

typedef struct _machine_uart_obj_t {
    mp_obj_base_t base;
    uart_registers_t *registers;
    uint32_t baudrate;
    uint16_t timeout_ms;            // for the first byte of a read
    uint16_t timeout_char_ms;       // for each of the others
    uint8_t id;
} machine_uart_obj_t;

#define UART_TX_FULL    (1)
#define UART_RX_FULL    (2)
#define UART_ON         (3)
#define UART_CLOCK_HZ   (25000000)
#define UART_DIVIDER_MIN (16)
#define UART_US_A_MS    (1000)

static const uint32_t uart_at[] = { 0, 0x40005000, 0x40006000, 0x40007000, 0x40009000 };    // the console has the first

static void mp_machine_uart_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    (void)kind;
    mp_printf(print, "UART(%u, baudrate=%u)", self->id, (unsigned)self->baudrate);
}

static void mp_machine_uart_init_helper(machine_uart_obj_t *self, size_t n_args, const mp_obj_t *pos_args,
    mp_map_t *kw_args) {
    enum { ARG_baudrate, ARG_timeout, ARG_timeout_char };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_baudrate, MP_ARG_INT, { .u_int = 115200 } },
        { MP_QSTR_timeout, MP_ARG_KW_ONLY | MP_ARG_INT, { .u_int = 0 } },
        { MP_QSTR_timeout_char, MP_ARG_KW_ONLY | MP_ARG_INT, { .u_int = 2 } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);
    mp_int_t baudrate = args[ARG_baudrate].u_int;
    if (baudrate < 300 || baudrate > UART_CLOCK_HZ / UART_DIVIDER_MIN) {
        mp_raise_ValueError(MP_ERROR_TEXT("UART takes baudrate from 300 to 1562500"));
    }
    self->baudrate = baudrate;
    self->timeout_ms = args[ARG_timeout].u_int;
    self->timeout_char_ms = args[ARG_timeout_char].u_int;
    self->registers->divider = (UART_CLOCK_HZ + baudrate / 2) / baudrate;
    self->registers->control = UART_ON;
    (void)self->registers->data;    // makes the emulator look at once whether bytes wait, and not within a second
}

static mp_obj_t mp_machine_uart_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, MP_OBJ_FUN_ARGS_MAX, true);
    mp_int_t id = mp_obj_get_int(args[0]);
    if (id < 1 || id >= (mp_int_t)MP_ARRAY_SIZE(uart_at)) {
        mp_raise_ValueError(MP_ERROR_TEXT("UART takes id 1 to 4"));
    }
    machine_uart_obj_t *self = mp_obj_malloc(machine_uart_obj_t, type);
    self->id = id;
    self->registers = (uart_registers_t *)uart_at[id];
    mp_map_t kw_args;
    mp_map_init_fixed_table(&kw_args, n_kw, args + n_args);
    mp_machine_uart_init_helper(self, n_args - 1, args + 1, &kw_args);
    return MP_OBJ_FROM_PTR(self);
}

static void mp_machine_uart_deinit(machine_uart_obj_t *self) {
    self->registers->control = 0;
}

static mp_int_t mp_machine_uart_any(machine_uart_obj_t *self) {
    return (self->registers->state & UART_RX_FULL) != 0;
}

static bool mp_machine_uart_txdone(machine_uart_obj_t *self) {
    return (self->registers->state & UART_TX_FULL) == 0;
}

static mp_uint_t mp_machine_uart_read(mp_obj_t self_in, void *buf_in, mp_uint_t size, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    uint8_t *buf = buf_in;
    mp_uint_t count = 0;
    mp_uint_t since_us = mp_hal_ticks_us();
    mp_uint_t wait_us = self->timeout_ms * UART_US_A_MS;
    while (count < size) {
        if (self->registers->state & UART_RX_FULL) {
            buf[count++] = self->registers->data;
            since_us = mp_hal_ticks_us();
            wait_us = self->timeout_char_ms * UART_US_A_MS;
        } else if (mp_hal_ticks_us() - since_us >= wait_us) {
            break;
        }
    }
    if (count == 0 && size != 0) {
        *errcode = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return count;
}

static mp_uint_t mp_machine_uart_write(mp_obj_t self_in, const void *buf_in, mp_uint_t size, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    (void)errcode;
    const uint8_t *buf = buf_in;
    for (mp_uint_t i = 0; i < size; i++) {
        while (self->registers->state & UART_TX_FULL) {
        }
        self->registers->data = buf[i];
    }
    return size;
}

static mp_uint_t mp_machine_uart_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t arg, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (request == MP_STREAM_POLL) {
        mp_uint_t found = 0;
        if ((arg & MP_STREAM_POLL_RD) && (self->registers->state & UART_RX_FULL)) {
            found |= MP_STREAM_POLL_RD;
        }
        if ((arg & MP_STREAM_POLL_WR) && !(self->registers->state & UART_TX_FULL)) {
            found |= MP_STREAM_POLL_WR;
        }
        return found;
    }
    if (request == MP_STREAM_FLUSH) {
        return 0;
    }
    *errcode = MP_EINVAL;
    return MP_STREAM_ERROR;
}
