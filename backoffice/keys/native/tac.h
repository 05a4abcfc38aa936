/* What tac.c and the files of one vector width share. Layout of a row: backoffice/docs/tac.md. */

#include <stddef.h>
#include <stdint.h>

enum {
    ROW_BYTES = 48,
    CARD_AT = 8,
    MESSAGE_AT = 20,
    STAMP_AT = MESSAGE_AT + 15,
    TAC_AT = 42,
    KEY_BYTES = 16,
};

/* A byte a row, as service.ROW_VERDICTS; ROW_CHECK stands only in `of_tag`: ask the lanes. */
enum { ROW_OK = 0, ROW_BAD = 1, ROW_CHECK = 0xFF };

struct task {
    const uint8_t *rows;
    size_t count;
    const uint32_t *tags;   /* of each row */
    const uint8_t *keys;    /* of each tag */
    const uint8_t *of_tag;  /* verdict of each tag, or ROW_CHECK */
    uint8_t *verdicts;      /* of each row */
};

/* All rows get a verdict. Returns how many did. Keys stay on the stack below: the caller overwrites it. */
size_t check_portable(const struct task *task);
size_t check_avx2(const struct task *task);
