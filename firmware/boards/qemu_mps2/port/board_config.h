// The stock configuration of MicroPython's qemu port, with what a validator needs beside it.
#include "mpconfigport.h"

#undef  MICROPY_PY_SELECT
#undef  MICROPY_PY_TIME
#define MICROPY_PY_SELECT                       (1)
#define MICROPY_PY_TIME                         (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS            (1)
#define MICROPY_PY_TIME_INCLUDEFILE             "board_time.h"
#define MICROPY_EPOCH_IS_1970                   (1)
