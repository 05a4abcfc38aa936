SRC_USERMOD_C   += $(USERMOD_DIR)/board.c
SRC_EXTMOD_C    += shared/timeutils/timeutils.c
LDFLAGS_USERMOD += -Wl,--wrap=mp_hal_stdio_poll,--wrap=gc_init,--wrap=pyexec_friendly_repl
